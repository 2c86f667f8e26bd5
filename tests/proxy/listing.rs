//! Listings that lack objects and do not say so, or that never end.

const BEGIN: &str = "<Contents>";
const END: &str = "</Contents>";

/// The listing with as many of its objects as `kept` says of their number, and a count that agrees.
pub fn thinned(body: &[u8], kept: impl Fn(usize) -> usize) -> Vec<u8> {
    let text = String::from_utf8_lossy(body);
    let objects: Vec<&str> = text
        .match_indices(BEGIN)
        .map(|(at, _)| &text[at..at + text[at..].find(END).unwrap() + END.len()])
        .collect();
    let mut thin = text.to_string();
    let kept = kept(objects.len());
    for object in &objects[kept..] {
        thin = thin.replacen(object, "", 1);
    }
    let count = |number: usize| format!("<KeyCount>{number}</KeyCount>");
    thin.replace(&count(objects.len()), &count(kept)).into_bytes()
}

/// The listing as a page that another follows, at `token` if there is one.
pub fn going_on(body: &[u8], token: Option<&str>) -> Vec<u8> {
    let next = token.map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>"));
    let said = format!("<IsTruncated>true</IsTruncated>{}", next.unwrap_or_default());
    let text = String::from_utf8_lossy(body);
    text.replace("<IsTruncated>false</IsTruncated>", &said).into_bytes()
}
