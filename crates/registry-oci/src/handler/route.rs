//! From a path to what it means.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::{
    error::Error,
    names::{Digest, Reference, RepositoryName},
};

/// What a path below the base path means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/`: the ping.
    Ping,
    /// `/token`.
    Token,
    /// `/_catalog`.
    Catalog,
    /// `/_oci/ext/discover`, of the registry or of a repository.
    Extensions(Option<RepositoryName>),
    /// `/<name>/manifests/<reference>`.
    Manifest(RepositoryName, Reference),
    /// `/<name>/blobs/<digest>`.
    Blob(RepositoryName, Digest),
    /// `/<name>/blobs/uploads/`.
    Uploads(RepositoryName),
    /// `/<name>/blobs/uploads/<id>`.
    Upload(RepositoryName, String),
    /// `/<name>/tags/list`.
    Tags(RepositoryName),
    /// `/<name>/referrers/<digest>`.
    Referrers(RepositoryName, Digest),
}

impl Route {
    /// Reads what follows the base path: empty, or beginning with `/`. The last marker decides, so that a
    /// repository may be named `a/blobs/uploads`.
    pub(crate) fn parse(rest: &str) -> Result<Self, Error> {
        match rest {
            "" | "/" => return Ok(Self::Ping),
            "/token" => return Ok(Self::Token),
            "/_catalog" => return Ok(Self::Catalog),
            "/_oci/ext/discover" => return Ok(Self::Extensions(None)),
            _ => {}
        }
        let path = rest.strip_prefix('/').ok_or(Error::NoRoute)?;
        if let Some(name) = path.strip_suffix("/_oci/ext/discover") {
            return Ok(Self::Extensions(Some(repository(name)?)));
        }
        // `<name>/blobs/uploads` and `<name>/blobs/uploads/`
        let without_slash = path.strip_suffix('/').unwrap_or(path);
        if let Some(name) = without_slash.strip_suffix("/blobs/uploads") {
            return Ok(Self::Uploads(repository(name)?));
        }
        let (head, last) = path.rsplit_once('/').ok_or(Error::NoRoute)?;
        if let Some(name) = head.strip_suffix("/blobs/uploads") {
            return Ok(Self::Upload(repository(name)?, decode(last).into_owned()));
        }
        let (name, marker) = head.rsplit_once('/').ok_or(Error::NoRoute)?;
        match marker {
            "manifests" => {
                let name = repository(name)?;
                Ok(Self::Manifest(name, decode(last).parse()?))
            }
            "blobs" => {
                let name = repository(name)?;
                Ok(Self::Blob(name, decode(last).parse()?))
            }
            "referrers" => {
                let name = repository(name)?;
                Ok(Self::Referrers(name, decode(last).parse()?))
            }
            "tags" if last == "list" => Ok(Self::Tags(repository(name)?)),
            _ => Err(Error::NoRoute),
        }
    }

    /// The repository, where the route has one.
    #[cfg(test)]
    pub(crate) fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Ping | Self::Token | Self::Catalog => None,
            Self::Extensions(name) => name.as_ref(),
            Self::Manifest(name, _)
            | Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Tags(name)
            | Self::Referrers(name, _) => Some(name),
        }
    }
}

/// Decodes once. What is no UTF-8 then is no name either.
fn decode(text: &str) -> Cow<'_, str> {
    if text.contains('%') { percent_decode_str(text).decode_utf8_lossy() } else { Cow::Borrowed(text) }
}

fn repository(text: &str) -> Result<RepositoryName, Error> {
    // Proxies differ in whether they decode an encoded slash: it must never name another repository.
    if text.as_bytes().windows(3).any(|w| w.eq_ignore_ascii_case(b"%2f")) {
        return Err(Error::NameUnknown);
    }
    Ok(decode(text).parse()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    fn digest() -> Digest {
        format!("sha256:{}", "0".repeat(64)).parse().unwrap()
    }

    /// Checklist 31.
    #[test]
    fn the_last_marker_decides() {
        let d = digest();
        let tag = |t: &str| Reference::Tag(t.parse().unwrap());
        let cases = [
            ("", Route::Ping),
            ("/", Route::Ping),
            ("/token", Route::Token),
            ("/_catalog", Route::Catalog),
            ("/_oci/ext/discover", Route::Extensions(None)),
            ("/a/_oci/ext/discover", Route::Extensions(Some(name("a")))),
            ("/a/b/manifests/latest", Route::Manifest(name("a/b"), tag("latest"))),
            ("/a/manifests/list", Route::Manifest(name("a"), tag("list"))),
            ("/a/blobs/uploads/", Route::Uploads(name("a"))),
            ("/a/blobs/uploads", Route::Uploads(name("a"))),
            ("/a/blobs/uploads/blobs/uploads/", Route::Uploads(name("a/blobs/uploads"))),
            ("/a/blobs/uploads/blobs/uploads/xyz", Route::Upload(name("a/blobs/uploads"), "xyz".into())),
            ("/a/blobs/uploads/manifests/v1", Route::Manifest(name("a/blobs/uploads"), tag("v1"))),
            ("/x/manifests/y/manifests/z", Route::Manifest(name("x/manifests/y"), tag("z"))),
            ("/tags/list/tags/list", Route::Tags(name("tags/list"))),
            ("/tags/list/manifests/v1", Route::Manifest(name("tags/list"), tag("v1"))),
            ("/token/manifests/v1", Route::Manifest(name("token"), tag("v1"))),
            (&format!("/a/blobs/{d}"), Route::Blob(name("a"), d.clone())),
            (&format!("/a/blobs/{}", d.as_str().replace(':', "%3A")), Route::Blob(name("a"), d.clone())),
            (&format!("/a/referrers/{d}"), Route::Referrers(name("a"), d.clone())),
        ];
        for (path, want) in cases {
            assert_eq!(Route::parse(path).unwrap(), want, "{path}");
        }
    }

    /// Checklist 29 and 30.
    #[test]
    fn bad_paths_have_their_codes() {
        for (path, code) in [
            ("/A/b/manifests/v1", "NAME_INVALID"),
            ("/a//b/manifests/v1", "NAME_INVALID"),
            ("/a/../b/manifests/v1", "NAME_INVALID"),
            ("/%2e%2e/manifests/v1", "NAME_INVALID"),
            ("/a%00/manifests/v1", "NAME_INVALID"),
            ("/a%252fb/manifests/v1", "NAME_INVALID"),
            ("/-a/tags/list", "NAME_INVALID"),
            ("/a%2Fb/manifests/v1", "NAME_UNKNOWN"),
            ("/a/manifests/sha256:baddigeststring", "DIGEST_INVALID"),
            ("/a/manifests/.bad", "MANIFEST_INVALID"),
            ("/a/blobs/latest", "DIGEST_INVALID"),
            ("/a/referrers/x", "DIGEST_INVALID"),
            ("/blobs/uploads/", "NAME_UNKNOWN"),
            ("/manifests/x", "NAME_UNKNOWN"),
            ("/a", "NAME_UNKNOWN"),
            ("/a/tags/list/", "NAME_UNKNOWN"),
            ("/_x/y", "NAME_UNKNOWN"),
        ] {
            assert_eq!(Route::parse(path).map_err(|e| e.code()), Err(code), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "\\PC{0,80}") {
            let _ = Route::parse(&path);
        }

        #[test]
        fn routes_of_any_repository(name in "[a-z]{1,8}(/(blobs|uploads|manifests|tags|list|referrers|token)){0,4}") {
            for rest in ["manifests/v1", "tags/list", "blobs/uploads/"] {
                let route = Route::parse(&format!("/{name}/{rest}")).unwrap();
                prop_assert_eq!(route.repository().unwrap().as_str(), &name);
            }
        }
    }
}
