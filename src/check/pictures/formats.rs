//! Formats of pictures, told by their first bytes and decoded to the last row of the last frame.
//!
//! Decoders make up for what is missing where they can, as people want to see half a picture; here
//! nothing is made up for. JPEG and lossy WebP hold no checksum: a byte that changed within them shows
//! only where what follows can no longer be read.

use std::io::Cursor;

use image_webp::WebPDecoder;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::Decoded;

/// More pixels in one frame are not decoded: they would not fit into the child's memory.
const MOST_PIXELS: u64 = 64 << 20;

/// What a decoder may hold beside pixels.
const MOST_BYTES: usize = 1 << 30;

/// Decodes a picture; to be called where it can do no harm.
pub fn decode(bytes: &[u8]) -> Decoded {
    let decoded = match bytes {
        [] => Err(Decoded::Flawed("is empty".to_owned())),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => png(bytes),
        [0xff, 0xd8, 0xff, ..] => jpeg(bytes),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => gif(bytes),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => webp(bytes),
        _ => Err(Decoded::Flawed("is no PNG, JPEG, GIF or WebP picture".to_owned())),
    };
    decoded.err().unwrap_or(Decoded::Sound)
}

type Result<T> = std::result::Result<T, Decoded>;

fn flawed(format: &'static str) -> impl Fn(String) -> Decoded {
    move |what| Decoded::Flawed(format!("is no whole {format}: {what}"))
}

fn bounded(width: u64, height: u64) -> Result<()> {
    match width.saturating_mul(height) {
        0..=MOST_PIXELS => Ok(()),
        _ => Err(Decoded::TooLarge(format!("has {width} × {height} pixels, which is not decoded"))),
    }
}

fn png(bytes: &[u8]) -> Result<()> {
    let wrong = |error: png::DecodingError| match error {
        png::DecodingError::LimitsExceeded => {
            Decoded::TooLarge("needs more memory than is given to a PNG".to_owned())
        }
        error => flawed("PNG")(error.to_string()),
    };
    let limits = png::Limits { bytes: MOST_BYTES };
    let mut reader =
        png::Decoder::new_with_limits(Cursor::new(bytes), limits).read_info().map_err(wrong)?;
    bounded(reader.info().width.into(), reader.info().height.into())?;
    loop {
        while reader.next_row().map_err(wrong)?.is_some() {}
        match reader.next_frame_info() {
            Ok(_) => {}
            // There is no further frame.
            Err(png::DecodingError::Parameter(_)) => break,
            Err(error) => return Err(wrong(error)),
        }
    }
    reader.finish().map_err(wrong)
}

fn jpeg(bytes: &[u8]) -> Result<()> {
    let wrong = |error: zune_jpeg::errors::DecodeErrors| flawed("JPEG")(format!("{error:?}"));
    let most = usize::from(u16::MAX);
    let options = DecoderOptions::default().set_strict_mode(true);
    let options = options.set_max_width(most).set_max_height(most);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    decoder.decode_headers().map_err(wrong)?;
    let info = decoder.info().ok_or_else(|| flawed("JPEG")("it has no frame".to_owned()))?;
    bounded(info.width.into(), info.height.into())?;
    decoder.decode().map_err(wrong)?;
    match has_end(bytes) {
        true => Ok(()),
        false => Err(flawed("JPEG")("it ends before its end".to_owned())),
    }
}

/// Whether a JPEG goes on to its end marker (ITU T.81, annex B): its decoder does without. What
/// cameras write behind it is none of its.
fn has_end(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr(0xff, rest)) {
        at += found + 1;
        match bytes.get(at) {
            None => return false,
            Some(0xd9) => return true,
            // A byte of the picture, a restart, a filler.
            Some(0x00 | 0x01 | 0xd0..=0xd7) => at += 1,
            Some(0xff) => {}
            Some(_) => match bytes.get(at + 1..at + 3) {
                Some(length) => at += 1 + usize::from(u16::from_be_bytes([length[0], length[1]])),
                None => return false,
            },
        }
    }
    false
}

fn gif(bytes: &[u8]) -> Result<()> {
    let wrong = |error: gif::DecodingError| flawed("GIF")(error.to_string());
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::Indexed);
    options.set_memory_limit(gif::MemoryLimit::Unlimited);
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(wrong)?;
    let (mut frames, mut pixels) = (0, Vec::new());
    while let Some(frame) = decoder.next_frame_info().map_err(wrong)? {
        bounded(frame.width.into(), frame.height.into())?;
        pixels.resize(decoder.buffer_size(), 0);
        decoder.read_into_buffer(&mut pixels).map_err(wrong)?;
        frames += 1;
    }
    if frames == 0 { Err(flawed("GIF")("it has no frame".to_owned())) } else { Ok(()) }
}

fn webp(bytes: &[u8]) -> Result<()> {
    let wrong = |error: image_webp::DecodingError| flawed("WebP")(error.to_string());
    // The container says how long it is; its decoder does without the last bytes.
    let says = bytes.get(4..8).and_then(|length| length.try_into().ok()).map(u32::from_le_bytes);
    if says.is_none_or(|says| (bytes.len() as u64) < u64::from(says) + 8) {
        return Err(flawed("WebP")("it ends before its end".to_owned()));
    }
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(wrong)?;
    decoder.set_memory_limit(MOST_BYTES);
    let (width, height) = decoder.dimensions();
    bounded(width.into(), height.into())?;
    let size = decoder.output_buffer_size();
    let mut pixels = vec![0; size.ok_or_else(|| flawed("WebP")("it has no size".to_owned()))?];
    if decoder.is_animated() {
        for _ in 0..decoder.num_frames() {
            decoder.read_frame(&mut pixels).map_err(wrong)?;
        }
        Ok(())
    } else {
        decoder.read_image(&mut pixels).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One small picture of each way in which the formats write them.
    const PICTURES: [(&str, &[u8]); 13] = [
        ("baseline.jpg", include_bytes!("samples/baseline.jpg")),
        ("progressive.jpg", include_bytes!("samples/progressive.jpg")),
        ("restarts.jpg", include_bytes!("samples/restarts.jpg")),
        ("cmyk.jpg", include_bytes!("samples/cmyk.jpg")),
        ("gray.jpg", include_bytes!("samples/gray.jpg")),
        ("plain.png", include_bytes!("samples/plain.png")),
        ("palette.png", include_bytes!("samples/palette.png")),
        ("animated.png", include_bytes!("samples/animated.png")),
        ("plain.gif", include_bytes!("samples/plain.gif")),
        ("animated.gif", include_bytes!("samples/animated.gif")),
        ("lossy.webp", include_bytes!("samples/lossy.webp")),
        ("lossless.webp", include_bytes!("samples/lossless.webp")),
        ("animated.webp", include_bytes!("samples/animated.webp")),
    ];

    #[test]
    fn whole_pictures_are_sound_and_none_is_that_was_cut_anywhere() {
        for (name, bytes) in PICTURES {
            assert_eq!(decode(bytes), Decoded::Sound, "{name}");
            for length in 0..bytes.len() {
                let decoded = decode(&bytes[..length]);
                assert!(matches!(decoded, Decoded::Flawed(_)), "{name} cut to {length} bytes");
            }
        }
    }

    #[test]
    fn a_picture_whose_end_became_zeros_is_flawed_unless_it_says_nothing_of_its_pixels() {
        for (name, bytes) in PICTURES.into_iter().filter(|(name, _)| !name.ends_with(".webp")) {
            for zeros in [bytes.len() / 2, 2] {
                let mut torn = bytes.to_vec();
                let begin = torn.len() - zeros;
                torn[begin..].fill(0);
                assert!(matches!(decode(&torn), Decoded::Flawed(_)), "{name}: {zeros} zeros");
            }
        }
    }

    #[test]
    fn what_stands_behind_the_end_of_a_jpeg_is_none_of_its() {
        let mut photo = PICTURES[0].1.to_vec();
        photo.extend_from_slice(b"a film that a telephone put here");

        assert_eq!(decode(&photo), Decoded::Sound);
    }

    #[test]
    fn texts_pages_and_other_files_are_no_pictures() {
        let others: [&[u8]; 5] =
            [b"", b"<html>404</html>", b"GIF", b"\x89PNG", b"RIFF\x04\0\0\0WAVE"];
        for bytes in others {
            assert!(matches!(decode(bytes), Decoded::Flawed(_)), "{bytes:?}");
        }
    }

    #[test]
    fn pictures_that_would_fill_the_memory_are_not_decoded_and_never_sound() {
        // 65535 × 65535 pixels, said in a header alone.
        let mut jpeg = PICTURES[4].1.to_vec();
        let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        jpeg[frame + 5..frame + 9].fill(0xff);
        assert!(matches!(decode(&jpeg), Decoded::TooLarge(_)), "{:?}", decode(&jpeg));

        // An image descriptor of a GIF: where, how large, then the first byte of its code.
        let mut gif = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0".to_vec();
        gif.extend_from_slice(b"\xff\xff\xff\xff\0\x02\x02D\x01\0;");
        assert!(matches!(decode(&gif), Decoded::TooLarge(_)), "{:?}", decode(&gif));
    }
}
