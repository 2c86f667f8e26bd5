//! Listings, page by page. One that may not be whole is an error, never an end.

use std::collections::{HashSet, VecDeque};

use aws_sdk_s3::Config;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::Object as Listed;
use futures_util::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;

use super::client::limits_of_page;
use super::{Error, Object, ObjectName, Result, S3, Trouble};

/// A listing on its way.
#[derive(Default)]
struct Walk {
    /// Of the page that was fetched last.
    objects: VecDeque<Object>,
    /// Of the next page.
    token: Option<String>,
    /// A service that repeats one would go round for ever.
    tokens: HashSet<String>,
    done: bool,
}

impl S3 {
    pub(super) fn listing(&self, prefix: Option<&ObjectName>) -> BoxStream<'_, Result<Object>> {
        let folder = prefix.map(|prefix| format!("{prefix}/")).unwrap_or_default();
        let next = move |mut walk: Walk| {
            let folder = folder.clone();
            async move {
                while walk.objects.is_empty() && !walk.done {
                    if let Err(trouble) = self.page(&folder, &mut walk).await {
                        let name = if folder.is_empty() { "everything" } else { &folder };
                        let error = Error::io("list", name, trouble);
                        return Some((Err(error), Walk { done: true, ..Walk::default() }));
                    }
                }
                let object = walk.objects.pop_front()?;
                Some((Ok(object), walk))
            }
        };
        stream::unfold(Walk::default(), next).boxed()
    }

    async fn page(&self, folder: &str, walk: &mut Walk) -> Result<(), Trouble> {
        let token = walk.token.take();
        let page = self.again(|| self.fetch(folder, token.as_deref())).await?;
        match (page.is_truncated(), page.next_continuation_token()) {
            (Some(true), None) => {
                return Err(Trouble::answer("a listing that goes on, but not where"));
            }
            (Some(true), Some(next)) => {
                if !walk.tokens.insert(next.to_owned()) {
                    return Err(Trouble::answer("a listing that repeats itself"));
                }
                walk.token = Some(next.to_owned());
            }
            _ => walk.done = true,
        }
        for object in page.contents() {
            walk.objects.extend(understood(object, folder)?);
        }
        Ok(())
    }

    /// One page that is what was asked for.
    async fn fetch(
        &self,
        folder: &str,
        token: Option<&str>,
    ) -> Result<ListObjectsV2Output, Trouble> {
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(folder);
        let patient = Config::builder().timeout_config(limits_of_page().build());
        let page = list
            .set_continuation_token(token.map(str::to_owned))
            .customize()
            .config_override(patient)
            .send()
            .await
            .map_err(Trouble::of)?;
        let count = page.key_count().and_then(|count| usize::try_from(count).ok());
        if count.is_some_and(|count| count != page.contents().len()) {
            return Err(Trouble::answer("a page with another number of objects than it says"));
        }
        Ok(page)
    }

    /// Whether the listing has this object.
    pub(super) async fn is_listed(&self, name: &ObjectName) -> Result<bool, Trouble> {
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(name.as_str());
        // The name itself comes before all that begin with it.
        let page = list.max_keys(1).send().await.map_err(Trouble::of)?;
        Ok(page.contents().iter().any(|object| object.key() == Some(name.as_str())))
    }
}

/// A listed object; none if it cannot be ours.
fn understood(listed: &Listed, folder: &str) -> Result<Option<Object>, Trouble> {
    let key = listed.key().unwrap_or_default();
    if !key.starts_with(folder) {
        return Err(Trouble::answer("a listing of another folder"));
    }
    let Ok(name) = key.parse::<ObjectName>() else {
        // Some consoles make "folders" so.
        if !key.ends_with('/') {
            tracing::warn!(key = %key.escape_debug(), "no object can have this name");
        }
        return Ok(None);
    };
    let size = listed.size().and_then(|size| u64::try_from(size).ok());
    let modified = listed.last_modified().and_then(|moment| {
        let nanoseconds = i32::try_from(moment.subsec_nanos()).ok()?;
        Timestamp::new(moment.secs(), nanoseconds).ok()
    });
    match (size, modified) {
        (Some(size), Some(modified)) => Ok(Some(Object { name, size, modified })),
        _ => Err(Trouble::answer("a listing without sizes or times")),
    }
}
