//! What the JAR of a Maven plugin says of itself.

use std::io::{BufReader, Read, Seek};

use registry_core::archive::{
    Take,
    zip::{self, ZipLimits, ZipRules},
};

use crate::wire::metadata::Descriptor;

/// Where the description of a plugin lies.
const DESCRIPTION: &str = "META-INF/maven/plugin.xml";
/// The largest one that is read, in bytes.
const MAX_DESCRIPTION: u64 = 4 << 20;

/// Looks into a JAR. `None` where it is none, or says nothing that is of use: it is not this repository's to judge.
pub(crate) fn describe_plugin<R: Read + Seek>(reader: R) -> Option<Descriptor> {
    let limits = ZipLimits { kept_bytes: MAX_DESCRIPTION, kept_entries: 1, ..ZipLimits::default() };
    let contents = zip::inspect(BufReader::new(reader), &limits, ZipRules::INSIDE, |entry| {
        Ok(if entry.name == DESCRIPTION && entry.is_file() { Take::Keep } else { Take::Skip })
    });
    let kept = contents.ok()?.kept.into_iter().next()?;
    Descriptor::parse(&kept.bytes).ok()?
}
