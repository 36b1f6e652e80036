//! `POST /pypi/`: an upload's form is read part by part, and its file goes to the store while it arrives.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use registry_core::{
    Actor, Response,
    archive::write_inspected,
    auth::Action,
    hooks::Operation,
    http::{
        Query, Refusal, drain_body,
        form::{Form, FormLimits, Part},
        respond_text, respond_with,
    },
    storage::{
        ArtifactSpec, DataRef, Digests, PendingArtifact, StorageError, UnknownFields, UpdateError,
        WantedDigests,
    },
};

use super::{call::Call, manage};
use crate::{
    archive::{ArchiveLimits, inspect_wheel, sdist_inspector, sdist_metadata},
    attestation,
    error::Error,
    names::{FileKind, FileName},
    store::{
        changes::{self, NewFile, Target},
        project::File,
    },
    upstream,
    wire::{
        metadata::Metadata,
        upload::{self, ClaimedDigests, Fields},
    },
};

/// The largest signature.
const MAX_SIGNATURE: usize = 64 << 10;

/// A file that was taken in.
struct Received {
    name: FileName,
    /// Its bytes; `None` where the project had them already.
    stored: Option<Stored>,
    digests: Digests,
}

/// What a new file holds and where it is.
struct Stored {
    data: PendingArtifact,
    metadata: Vec<u8>,
}

/// What came with a file.
struct Beside {
    signature: Option<Bytes>,
    attestations: Option<String>,
}

/// Takes a form.
pub(crate) async fn post(call: &mut Call<'_>) -> Result<Response, Error> {
    if is_xml(call) {
        return Ok(no_search());
    }
    let actor = call.actor().await?;
    if call.allows_some(&actor, Action::Write).is_err() {
        // Who may only delete can still send the form that deletes.
        call.allows_some(&actor, Action::Delete)?;
    }
    let body = call.take_body();
    let mut form = Form::new(&call.parts.headers, body, FormLimits::default())?;
    let taken = take(call, &actor, &mut form).await;
    if taken.is_err() {
        // Whoever still sends should read the answer.
        drain_body(form.into_body()).await;
    }
    taken
}

/// What pip's search sends.
fn is_xml(call: &Call<'_>) -> bool {
    let value = call.parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("text/xml") || essence.eq_ignore_ascii_case("application/xml")
    })
}

/// A fault as XML-RPC has it: its clients print the text.
fn no_search() -> Response {
    let fault = "<?xml version=\"1.0\"?>\n<methodResponse><fault><value><struct>\
         <member><name>faultCode</name><value><int>-32601</int></value></member>\
         <member><name>faultString</name><value><string>this registry has no XML-RPC search: use `pip index versions NAME` \
         or the list of projects of the simple API</string></value></member>\
         </struct></value></fault></methodResponse>\n";
    respond_with(StatusCode::OK, HeaderValue::from_static("text/xml"), fault)
}

async fn take(call: &Call<'_>, actor: &Actor, form: &mut Form) -> Result<Response, Error> {
    let query = Query::of(&call.parts).map_err(|error| Error::bad(error.to_string()))?;
    let queried = query.get(":action");
    let mut fields = Fields::default();
    let mut received: Option<Received> = None;
    let mut signature: Option<Bytes> = None;
    let mut attestations: Option<String> = None;
    let verifies = call.registry.config().attestation_roots.is_some();
    while let Some(part) = form.next().await? {
        match part.name.as_str() {
            "content" if received.is_some() => return Err(Error::bad("the form has several files")),
            "content" => received = Some(take_file(call, actor, form, &part, &fields).await?),
            "gpg_signature" => {
                let bytes = form.bytes().await?;
                if bytes.len() > MAX_SIGNATURE {
                    return Err(Error::bad("the signature is larger than 64 KiB"));
                }
                signature = Some(bytes);
            }
            "attestations" if verifies => {
                if attestations.replace(form.text().await?).is_some() {
                    return Err(Error::bad("the form has several values of \"attestations\""));
                }
            }
            name => {
                if let Some(name) = Fields::known(name) {
                    fields.take(name, form.text().await?)?;
                }
            }
        }
        if fields.get(":action").is_some() {
            fields.action(None)?;
        }
    }
    fields.check_protocol()?;
    match fields.action(queried)? {
        upload::Action::Remove => {
            let claim = fields.claim()?;
            call.permit(actor, &claim.project, Action::Delete).await?;
            let target = Target { version: Some(claim.version), file: None };
            manage::remove(call, actor, &claim.project, target).await?;
            Ok(respond_text(StatusCode::OK, "OK\n"))
        }
        upload::Action::Upload => {
            let received = received.ok_or_else(|| Error::bad("the form has no file in \"content\""))?;
            store(call, actor, &fields, received, Beside { signature, attestations }).await
        }
    }
}

/// Takes the file in and looks into it. What comes before it in the form is checked already here; everything is after it.
async fn take_file(
    call: &Call<'_>,
    actor: &Actor,
    form: &mut Form,
    part: &Part,
    fields: &Fields,
) -> Result<Received, Error> {
    fields.check_protocol()?;
    let text =
        part.file_name.as_deref().ok_or_else(|| Error::bad("the part \"content\" has no file name"))?;
    let name: FileName = text.parse()?;
    call.permit(actor, name.project(), Action::Write).await?;
    if upstream::is_taken(call.registry, actor, name.project()).await? {
        return Err(Refusal::Forbidden(format!(
            "{} is a project of the index that this registry stands before: to upload under its name, have it reserved here",
            name.project()
        )).into());
    }
    let config = call.registry.config();
    if name.version().is_local() && !config.local_versions {
        return Err(Error::bad("this registry takes no local versions (with a +)"));
    }
    let projects = call.registry.projects();
    let document = projects.load(name.project()).await?;
    let project = document.as_deref().map(|document| &document.value);
    changes::check_new(project, name.version(), name.as_str(), name.kind(), None)?;
    let known = project.is_some_and(|project| project.file(name.as_str()).is_some());
    let claimed = fields.digests()?;
    let spec = ArtifactSpec {
        digests: WantedDigests { md5: true, blake2b_256: true, ..WantedDigests::default() },
        max_bytes: Some(config.max_file_bytes),
        md5: claimed.md5,
        sha256: claimed.sha256,
        blake2b_256: claimed.blake2b_256,
        ..ArtifactSpec::default()
    };
    let limits = ArchiveLimits { unpacked_bytes: config.max_unpacked_bytes, entries: config.max_entries };
    let store = projects.store();
    let key = projects.file_key(name.project(), name.as_str());
    let body = form.file();
    if known {
        // It is only compared with what is there.
        let written = store.write_artifact(&key, body, spec).await;
        let digests = written.map_err(|error| fault(form, error))?.digests().clone();
        return Ok(Received { name, stored: None, digests });
    }
    let (data, metadata) = match name.kind() {
        FileKind::Sdist => {
            let written = write_inspected(store, &key, body, spec, sdist_inspector(&name, limits)).await;
            let (data, inspector) = match written {
                Ok(written) => written,
                Err(UpdateError::Refused(error)) => return Err(Error::Tar(error)),
                Err(UpdateError::Storage(error)) => return Err(fault(form, error)),
            };
            let metadata = sdist_metadata(inspector, data.size()).map_err(Error::Tar)?;
            (data, metadata)
        }
        FileKind::Wheel => {
            let data = store.write_artifact(&key, body, spec).await.map_err(|error| fault(form, error))?;
            let (of, size) = (name.clone(), data.size());
            let look = move |reader: &mut registry_core::storage::ArtifactReader| {
                inspect_wheel(reader, size, &of, limits)
            };
            let metadata = store.inspect(std::slice::from_ref(data.data()), look).await?;
            let metadata = metadata.map_err(Error::Zip)?;
            (data, metadata)
        }
    };
    let digests = data.digests().clone();
    Ok(Received { name, stored: Some(Stored { data, metadata }), digests })
}

/// Why a file could not be written: the form's own fault, if it was that.
fn fault(form: &mut Form, error: StorageError) -> Error {
    match form.take_failure() {
        Some(failure) => failure.into(),
        None => error.into(),
    }
}

fn check_digests(claimed: &ClaimedDigests, found: &Digests) -> Result<(), Error> {
    if claimed.is_empty() {
        return Err(Error::bad(
            "the form has no digest of the file: send sha256_digest, blake2_256_digest or md5_digest",
        ));
    }
    for (what, expected, actual) in [
        ("md5", &claimed.md5, found.md5.as_ref()),
        ("sha256", &claimed.sha256, Some(&found.sha256)),
        ("blake2b-256", &claimed.blake2b_256, found.blake2b_256.as_ref()),
    ] {
        if let (Some(expected), Some(actual)) = (expected, actual)
            && expected != actual
        {
            let (expected, actual) = (expected.clone(), actual.clone());
            return Err(StorageError::Mismatch { what, expected, actual }.into());
        }
    }
    Ok(())
}

/// Adds the file to its project.
async fn store(
    call: &Call<'_>,
    actor: &Actor,
    fields: &Fields,
    received: Received,
    beside: Beside,
) -> Result<Response, Error> {
    let Received { name, stored, digests } = received;
    let claim = fields.claim()?;
    fields.check_file(&claim, &name)?;
    check_digests(&fields.digests()?, &digests)?;
    let provenance = || -> Result<Option<Vec<u8>>, Error> {
        let roots = call.registry.config().attestation_roots.as_ref();
        let (Some(roots), Some(field)) = (roots, &beside.attestations) else { return Ok(None) };
        let now = call.registry.services().clock.now();
        Ok(attestation::verify(field, roots, &name, &digests.sha256, now)?)
    };
    let projects = call.registry.projects();
    let Some(Stored { data, metadata: bytes }) = stored else {
        // Judged against the project as it is now: it may have lost the file meanwhile.
        let document = projects.load(name.project()).await?;
        let project = document.as_deref().map(|document| &document.value);
        let sha256 = Some(digests.sha256.as_str());
        if changes::check_new(project, name.version(), name.as_str(), name.kind(), sha256)? {
            return Err(StorageError::Contended {
                key: projects.key(name.project()).to_string(),
                attempts: 1,
            }
            .into());
        }
        provenance()?;
        return Ok(respond_text(StatusCode::OK, "OK\n"));
    };
    let metadata = Metadata::parse(&bytes)?;
    metadata.check(name.project(), name.version())?;
    if let (false, Some(dependency)) = (call.registry.config().direct_references, metadata.direct_reference())
    {
        let dependency: String = dependency.chars().take(100).collect();
        return Err(Error::bad(format!(
            "this registry takes no dependencies on URLs, such as {dependency:?}"
        )));
    }
    let provenance = provenance()?;
    let (store, key) = (projects.store(), projects.key(name.project()));
    let mut permit = store
        .permit_with(|| {
            store
                .event(Operation::Put, &projects.file_key(name.project(), name.as_str()), actor)
                .package(name.project().as_str())
                .version(name.version().as_str())
                .size(data.size())
                .digest(format!("sha256:{}", digests.sha256))
                .content_type("application/octet-stream")
        })
        .await?;
    let key_of = |suffix: &str| projects.file_key(name.project(), &format!("{name}{suffix}"));
    let stored =
        store.write_artifact_bytes(&key_of(".metadata"), bytes.into(), ArtifactSpec::default()).await?;
    let mut more: [Option<DataRef>; 2] = [None, None];
    let parts = [(".asc", beside.signature), (".provenance", provenance.map(Bytes::from))];
    for (place, (suffix, bytes)) in more.iter_mut().zip(parts) {
        if let Some(bytes) = bytes {
            let stored = store.write_artifact_bytes(&key_of(suffix), bytes, ArtifactSpec::default()).await?;
            *place = Some(permit.attach(stored));
        }
    }
    let [signature, provenance] = more;
    let now = call.registry.services().clock.now();
    let file = File {
        name: name.as_str().to_owned(),
        kind: name.kind(),
        python: name.python().to_owned(),
        md5: digests.md5.unwrap_or_default(),
        blake2b_256: digests.blake2b_256.unwrap_or_default(),
        data: permit.attach(data),
        metadata: permit.attach(stored),
        metadata_served: name.kind() == FileKind::Wheel || metadata.is_static(),
        requires_python: metadata.one("requires-python").map(str::to_owned),
        signature,
        provenance,
        yanked: None,
        uploaded: now,
        uploader: actor.name().to_owned(),
        comment: fields.comment(),
        unknown: UnknownFields::default(),
    };
    let new = NewFile {
        project: name.project().clone(),
        display: claim.display,
        version: name.version().clone(),
        file,
        summary: metadata.one("summary").map(str::to_owned),
        keywords: metadata.keywords(),
        max_files: call.registry.config().max_files,
    };
    let (_added, document) = store.commit(&key, permit, move |draft| changes::add(draft, &new)).await?;
    if let Some(document) = document {
        call.registry.tell_catalog(&document);
    }
    Ok(respond_text(StatusCode::OK, "OK\n"))
}
