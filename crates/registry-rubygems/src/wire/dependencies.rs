//! `/api/v1/dependencies`: what Bundler asks where it cannot have the compact index.

use serde_json::{Value, json};

use super::{marshal::Writer, spec::Spec};

/// The versions as Ruby's Marshal: an array of hashes.
pub(crate) fn render_marshal<'s>(specs: impl ExactSizeIterator<Item = &'s Spec>) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(specs.len());
    for spec in specs {
        writer.hash(4);
        writer.symbol("name");
        writer.text(spec.name.as_str());
        writer.symbol("number");
        writer.text(spec.version.as_str());
        writer.symbol("platform");
        writer.text(spec.platform.as_str());
        writer.symbol("dependencies");
        let dependencies = spec.runtime_dependencies();
        writer.array(dependencies.len());
        for dependency in dependencies {
            writer.array(2);
            writer.text(dependency.name.as_str());
            writer.text(&dependency.requirement.to_list());
        }
    }
    writer.finish()
}

/// The versions as JSON.
pub(crate) fn render_json<'s>(specs: impl Iterator<Item = &'s Spec>) -> Value {
    specs
        .map(|spec| {
            let dependencies: Vec<_> = spec
                .runtime_dependencies()
                .iter()
                .map(|dependency| json!([dependency.name.as_str(), dependency.requirement.to_list()]))
                .collect();
            json!({
                "name": spec.name.as_str(),
                "number": spec.version.as_str(),
                "platform": spec.platform.as_str(),
                "dependencies": dependencies,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{
        marshal::read::{Value as Read, load},
        spec::tests::demo,
    };

    #[test]
    fn both_forms_say_the_same() {
        let specs = [demo(), demo()];
        let value = load(&render_marshal(specs.iter()));
        let Read::Hash(pairs) = &value.items()[1] else { panic!() };
        let keys: Vec<_> = pairs.iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(
            keys,
            ["name", "number", "platform", "dependencies"].map(|key| Read::Symbol(key.to_owned()))
        );
        assert_eq!(pairs[3].1.items()[1].items()[1].text(), "< 3, >= 1.0");
        let json = render_json(specs.iter());
        assert_eq!(json[1]["dependencies"], json!([["addressable", ">= 0"], ["rack", "< 3, >= 1.0"]]));
        assert_eq!(json[0]["number"], "1.10.0");
    }
}
