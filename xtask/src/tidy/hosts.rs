//! No file names a public package registry's host: who builds this behind a mirror must find nothing to undo.
//!
//! Which hosts these are is read from the settings of the machine's package clients, so that they need not be
//! written here either. The lock file is exempt: Cargo itself writes its registry's name there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::files::Text;

const EXEMPT: &[&str] = &["Cargo.lock"];

/// Every line that names one of the hosts. The host itself is not repeated.
pub(super) fn check(files: &[Text], hosts: &BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| !EXEMPT.contains(&file.name.as_str())) {
        for (at, line) in file.text.lines().enumerate() {
            let lower = line.to_lowercase();
            if hosts.iter().any(|host| names_host(&lower, host)) {
                faults.push(format!("{}:{}: the host of a public package registry", file.name, at + 1));
            }
        }
    }
    faults
}

/// The hosts in the settings and defaults of the package clients that are installed here.
pub(super) fn of_this_machine() -> BTreeSet<String> {
    let mut texts = Vec::new();
    let ask = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    };
    texts.push(ask("npm", &["config", "get", "registry"]));
    texts.push(ask("go", &["env", "GOPROXY", "GOSUMDB"]));
    texts.push(ask("pip", &["config", "list"]));
    texts.push(ask("gem", &["sources"]));
    texts.push(ask("python3", &["-c", PIP_DEFAULTS]));
    texts.push(ask("sh", &["-c", MAVEN_DEFAULTS]));
    texts.extend(files_below(Path::new("/etc/apt"), 3));
    let cargo = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))
        .unwrap_or_default();
    texts.extend(fs::read_to_string(Path::new(&cargo).join("config.toml")));
    // Cargo names the folder of an index after its host: `HOST-HASH`.
    let indexes = fs::read_dir(Path::new(&cargo).join("registry/index"));
    for entry in indexes.into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some((host, _)) = name.rsplit_once('-') {
            texts.push(format!("https://{host}/"));
        }
    }
    texts.iter().flat_map(|text| hosts_in(text)).collect()
}

/// What pip asks when no setting says otherwise; pip knows it, so this need not.
const PIP_DEFAULTS: &str = "from pip._internal.models.index import PyPI; \
    print('https://' + PyPI.netloc + '/', 'https://' + PyPI.file_storage_domain + '/')";

/// Maven's own project model names the central repository.
const MAVEN_DEFAULTS: &str = "for jar in /usr/share/maven/lib/maven-model-builder*.jar; do \
    unzip -p \"$jar\" org/apache/maven/model/pom-4.0.0.xml | grep '<url>'; done";

/// The host names in the URLs of a text, without those of this machine.
fn hosts_in(text: &str) -> BTreeSet<String> {
    let mut hosts = BTreeSet::new();
    for part in text.split("://").skip(1) {
        let end =
            part.find(|c: char| !(c.is_ascii_alphanumeric() || "-._@:".contains(c))).unwrap_or(part.len());
        let authority = part.get(..end).unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
        let host = host.trim_matches('.').to_lowercase();
        let local = host == "localhost" || host.chars().all(|c| c.is_ascii_digit() || c == '.');
        if host.contains('.') && !local && !host.ends_with(".example.com") {
            hosts.insert(host);
        }
    }
    hosts
}

/// Whether a line names this very host, and not merely one that ends or begins like it.
fn names_host(line: &str, host: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut from = 0;
    while let Some(at) = line.get(from..).and_then(|rest| rest.find(host)) {
        let (start, end) = (from + at, from + at + host.len());
        let before = line.get(..start).and_then(|head| head.chars().next_back());
        let after = line.get(end..).and_then(|tail| tail.chars().next());
        if !before.is_some_and(inner) && !after.is_some_and(inner) {
            return true;
        }
        from = end;
    }
    false
}

fn files_below(dir: &Path, depth: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && depth > 0 {
            texts.extend(files_below(&path, depth - 1));
        } else if path.extension().is_some_and(|extension| extension == "list" || extension == "sources") {
            texts.extend(fs::read_to_string(&path));
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_in_settings() {
        let found = hosts_in(
            "a=https://User:pw@Packages.Invalid.test:443/x,direct\nhttp://127.0.0.1:1/ ftp://other.test",
        );
        assert_eq!(found, ["other.test", "packages.invalid.test"].map(str::to_owned).into());
        assert!(hosts_in("https://registry.example.com/ http://localhost:1").is_empty());
    }

    #[test]
    fn a_file_that_names_a_host_is_a_fault_without_repeating_it() {
        let file = |text: &str| [Text { name: "x.md".to_owned(), text: text.to_owned() }];
        let hosts = ["packages.test".to_owned()].into();
        let faults = check(&file("one\nsee https://Packages.test/npm\n"), &hosts);
        assert_eq!(faults, ["x.md:2: the host of a public package registry"]);
        assert!(check(&file("mypackages.test and packages.tests"), &hosts).is_empty());
        assert!(check(&file("packages.test.\n"), &hosts).len() == 1);
    }
}
