//! A gem as `gem push` sends it.

use anyhow::Result;
use bytes::Bytes;
use sha1::Digest as _;

use crate::{
    Made, Step,
    archive::{gzip, tar},
};

pub(crate) fn release(name: &str, version: &str, payload: &[u8]) -> Result<Made> {
    let requirement = |indent: &str, version: &str| {
        format!(
            "!ruby/object:Gem::Requirement\n{indent}  requirements:\n{indent}  - - \">=\"\n{indent}    - \
             !ruby/object:Gem::Version\n{indent}      version: '{version}'"
        )
    };
    let specification = format!(
        "--- !ruby/object:Gem::Specification\nname: {name}\nversion: !ruby/object:Gem::Version\n  version: {version}\n\
         platform: ruby\nauthors:\n- A. Author\nautorequire:\nbindir: bin\ncert_chain: []\n\
         date: 2026-01-01 00:00:00.000000000 Z\ndependencies:\n- !ruby/object:Gem::Dependency\n  name: left-part\n  \
         requirement: {}\n  type: :runtime\n  prerelease: false\n  version_requirements: {}\n\
         description: Measures how long it takes to be published\nemail:\n- author@example.com\nexecutables: []\n\
         extensions: []\nextra_rdoc_files: []\nfiles:\n- data.bin\nhomepage: https://www.example.com/measured\n\
         licenses:\n- MIT\nmetadata: {{}}\npost_install_message:\nrdoc_options: []\nrequire_paths:\n- lib\n\
         required_ruby_version: {}\nrequired_rubygems_version: {}\nrequirements: []\nrubygems_version: 3.5.22\n\
         signing_key:\nspecification_version: 4\nsummary: Measures how long it takes to be published\ntest_files: []\n",
        requirement("  ", "1.3"),
        requirement("  ", "1.3"),
        requirement("", "3.0"),
        requirement("", "0"),
    );
    let metadata = gzip(specification.as_bytes())?;
    let data = gzip(&tar(&[("data.bin", payload)])?)?;
    let sums = format!(
        "---\nSHA256:\n  metadata.gz: {}\n  data.tar.gz: {}\n",
        hex::encode(sha2::Sha256::digest(&metadata)),
        hex::encode(sha2::Sha256::digest(&data)),
    );
    let gem = Bytes::from(tar(&[
        ("metadata.gz", &metadata),
        ("data.tar.gz", &data),
        ("checksums.yaml.gz", &gzip(sums.as_bytes())?),
    ])?);
    let step = Step {
        method: "POST",
        path: "/rubygems/api/v1/gems".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        body: gem.clone(),
    };
    Ok((vec![step], vec![(format!("/rubygems/gems/{name}-{version}.gem"), gem)]))
}
