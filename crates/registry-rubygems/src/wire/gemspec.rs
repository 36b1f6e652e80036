//! Quick specifications: what `gem` reads of a version before it installs it.

use std::io::Write as _;

use flate2::{Compression, write::ZlibEncoder};

use super::{marshal::Writer, spec::Spec};

/// The version of the form of specifications.
const SPECIFICATION_VERSION: u32 = 4;

/// How many parts a specification is dumped as.
const PARTS: usize = 19;

/// `<full name>.gemspec.rz`: the specification, marshalled and deflated.
pub(crate) fn render(spec: &Spec) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.dumped("Gem::Specification", &dump(spec));
    let dump = writer.finish();
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(dump.len()), Compression::default());
    // Writing to memory cannot fail.
    let written = encoder.write_all(&dump).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

/// The parts of a specification in the order that `Gem::Specification._load` wants.
fn dump(spec: &Spec) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(PARTS);
    writer.text(&spec.rubygems_version);
    writer.integer(SPECIFICATION_VERSION);
    writer.text(spec.name.as_str());
    writer.version(&spec.version);
    writer.day(spec.date);
    writer.text(&spec.summary);
    writer.requirement(&spec.required_ruby_version);
    writer.requirement(&spec.required_rubygems_version);
    writer.text(spec.platform.as_str());
    writer.array(spec.dependencies.len());
    for dependency in &spec.dependencies {
        writer.dependency(dependency);
    }
    // What was rubyforge_project.
    writer.text("");
    writer.texts(&spec.email);
    writer.texts(&spec.authors);
    writer.text_or_nil(spec.description.as_deref());
    writer.text_or_nil(spec.homepage.as_deref());
    // What was has_rdoc.
    writer.bool(true);
    writer.platform(&spec.platform);
    writer.texts(&spec.licenses);
    writer.hash(spec.metadata.len());
    for (key, value) in &spec.metadata {
        writer.text(key);
        writer.text(value);
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::{
        marshal::read::{Value, load},
        spec::tests::{any_spec, demo},
    };

    fn parts(spec: &Spec) -> Vec<Value> {
        let mut dump = Vec::new();
        flate2::read::ZlibDecoder::new(&*render(spec)).read_to_end(&mut dump).unwrap();
        let Value::Dumped(class, inner) = load(&dump) else { panic!() };
        assert_eq!(class, "Gem::Specification");
        load(&inner).items().to_vec()
    }

    #[test]
    fn checklist_12_31_a_specification_with_all_its_dependencies() {
        let parts = parts(&demo());
        assert_eq!(parts.len(), 19);
        assert_eq!(parts[1], Value::Integer(4));
        assert_eq!((parts[2].text(), parts[3].text(), parts[8].text()), ("demo-gem", "1.10.0", "ruby"));
        assert_eq!(parts[6].requirement(), ">= 2.7");
        let dependencies: Vec<String> = parts[9]
            .items()
            .iter()
            .map(|dependency| {
                let Value::Object(class, fields) = dependency else { panic!() };
                assert_eq!(class, "Gem::Dependency");
                assert_eq!(fields["@requirement"], fields["@version_requirements"]);
                let Value::Symbol(kind) = &fields["@type"] else { panic!() };
                format!("{kind} {} {}", fields["@name"].text(), fields["@requirement"].requirement())
            })
            .collect();
        assert_eq!(
            dependencies,
            ["runtime rack >= 1.0, < 3", "development rake ~> 13.0", "runtime addressable >= 0"]
        );
        assert_eq!(parts[12].items()[0].text(), "Ann Author");
        assert!(matches!(&parts[4], Value::Dumped(class, bytes) if class == "Time" && bytes.len() == 8));
        assert_eq!(parts[14].text(), "https://example.com/demo");
        let Value::Hash(metadata) = &parts[18] else { panic!() };
        assert_eq!(metadata[0].1.text(), "https://example.com/demo/src");
    }

    #[test]
    fn a_platform_is_an_object_where_every_client_knows_its_system() {
        let platform = |text: &str| {
            let mut spec = demo();
            spec.platform = text.parse().unwrap();
            let parts = parts(&spec);
            assert_eq!(parts[8].text(), text);
            parts[16].clone()
        };
        assert_eq!(platform("ruby"), Value::Text("ruby".to_owned()));
        assert_eq!(platform("wasm32-wasi"), Value::Text("wasm32-wasi".to_owned()));
        let Value::Object(class, fields) = platform("x86_64-linux-musl") else { panic!() };
        assert_eq!(class, "Gem::Platform");
        assert_eq!(
            (fields["@cpu"].text(), fields["@os"].text(), fields["@version"].text()),
            ("x86_64", "linux", "musl")
        );
        let Value::Object(_, fields) = platform("java") else { panic!() };
        assert_eq!(
            (&fields["@cpu"], fields["@os"].text(), &fields["@version"]),
            (&Value::Nil, "java", &Value::Nil)
        );
    }

    proptest! {
        #[test]
        fn every_specification_is_read_back(spec in any_spec()) {
            let parts = parts(&spec);
            prop_assert_eq!(parts[2].text(), spec.name.as_str());
            prop_assert_eq!(parts[3].text(), spec.version.as_str());
            prop_assert_eq!(parts[5].text(), &spec.summary);
            prop_assert_eq!(parts[6].requirement(), spec.required_ruby_version.to_string());
            prop_assert_eq!(parts[9].items().len(), spec.dependencies.len());
        }
    }
}
