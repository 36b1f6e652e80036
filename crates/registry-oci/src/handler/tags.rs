//! Lists of tags.

use http::{StatusCode, header};
use registry_core::{Response, http::respond_json};
use serde_json::json;

use super::{Call, set};
use crate::{
    access::Need,
    error::Error,
    names::{RepositoryName, Tag},
    upstream::Theirs,
    wire::page::{PageRequest, render_next},
};

/// `GET /v2/<name>/tags/list`.
pub(super) async fn list(call: &Call<'_>, name: &RepositoryName) -> Result<Response, Error> {
    let caller = call.registry.admit(call.parts, call.base, name, Need::Pull, None).await?;
    let page = PageRequest::parse(call.query(), call.registry.config.page_size)?;
    let mut all = call.registry.store.tags(name).await?;
    let theirs = Theirs::of(call, &caller.actor, name).await?;
    if let Some(theirs) = &theirs {
        match theirs.tags().await? {
            Some(tags) => {
                all.extend(tags);
                all.sort_unstable();
                all.dedup();
            }
            None if all.is_empty() => return Err(Error::NameUnknown),
            None => {}
        }
    } else if all.is_empty() && !call.registry.store.repository_exists(name).await? {
        return Err(Error::NameUnknown);
    }
    let start = page.last.as_deref().map_or(0, |last| all.partition_point(|tag| tag.as_str() <= last));
    let rest = all.get(start..).unwrap_or_default();
    // Clients that do not ask for pages get all: not all of them follow links.
    let shown = rest.get(..page.size.unwrap_or(rest.len()).min(rest.len())).unwrap_or_default();
    let mut response = respond_json(StatusCode::OK, &json!({ "name": name, "tags": shown }));
    if shown.len() < rest.len()
        && let (Some(last), Some(size)) = (shown.last().map(Tag::as_str), page.size)
    {
        let path = call.location(&format!("/{name}/tags/list"));
        let said_on = theirs.as_ref().map(Theirs::said_on).unwrap_or_default();
        set(&mut response, header::LINK, &render_next(&path, size, last, &said_on));
    }
    Ok(response)
}
