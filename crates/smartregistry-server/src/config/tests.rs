use proptest::prelude::*;
use secrecy::ExposeSecret;
use smartregistry::BasePath;

use super::*;

fn lookup<R>(run: impl FnOnce(&Lookup<'_>) -> R) -> R {
    run(&Lookup {
        variable: &|name| (name == "SECRET").then(|| "0123456789abcdef0123456789abcdef".to_owned()),
        file: &|path| match path {
            "/run/key" => Ok("key-from-file\n".to_owned()),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
        },
    })
}

fn load_from(file: &str, env: &[(&str, &str)], flags: &Overrides) -> Result<Config, ConfigError> {
    let path = Path::new("smartregistry.toml");
    let file = (!file.is_empty()).then_some((file, path));
    let env = env.iter().map(|(n, v)| ((*n).to_owned(), Ok((*v).to_owned())));
    lookup(|lookup| merge(file, env, flags, lookup))
}

pub(super) fn load_file(file: &str) -> Result<Config, ConfigError> {
    load_from(file, &[], &Overrides::default())
}

#[track_caller]
fn refused(file: &str, expect: &str) {
    let error = load_file(file).unwrap_err();
    let text = smartregistry::core::Chain(&error).to_string();
    assert_eq!(text.matches(expect).count(), 1, "{file}\n{text}");
}

#[test]
fn nothing_at_all_is_the_documented_default() {
    let config = load_file("").unwrap();
    assert_eq!(config.listen, "127.0.0.1:3000");
    assert_eq!(config.storage.location.to_string(), "file:./smartregistry-data");
    assert_eq!(config.public_url, None);
    assert_eq!(config.shutdown_timeout, Duration::from_secs(30));
    assert_eq!(config.auth.max_staleness, Duration::from_secs(2));
    assert!(!config.auth.signup && !config.abort_on_panic && config.tls.is_none());
    let places: Vec<(&str, Vec<&str>)> = config
        .instances
        .iter()
        .map(|i| (i.name.as_str(), i.base_paths.iter().map(BasePath::as_str).collect()))
        .collect();
    let expect = [
        ("cargo", vec!["/cargo"]),
        ("composer", vec!["/composer"]),
        ("maven", vec!["/maven"]),
        ("npm", vec!["/npm"]),
        ("oci", vec!["/v2", "/oci"]),
        ("pypi", vec!["/simple", "/pypi"]),
        ("rubygems", vec!["/rubygems"]),
    ];
    assert_eq!(places, expect);
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "listen = '1.1.1.1:1'\n[storage]\nurl = 'file:from-file'";
    let env = [("SMARTREGISTRY_LISTEN", "2.2.2.2:2"), ("SMARTREGISTRY_STORAGE__URL", "file:from-env")];
    let flags = Overrides { listen: Some("3.3.3.3:3".into()), ..Overrides::default() };
    let config = load_from(file, &env, &flags).unwrap();
    assert_eq!(config.listen, "3.3.3.3:3");
    assert_eq!(config.storage.location.to_string(), "file:from-env");
    assert_eq!(load_file(file).unwrap().storage.location.to_string(), "file:from-file");
}

#[test]
fn every_key_of_the_schema_can_be_read() {
    // A key that the schema knows and the structs do not would be an "unknown field" here.
    for path in keys::paths() {
        if path == "registry" {
            continue;
        }
        let variable = env::variable(&path);
        let error = load_from("", &[(&variable, "{ nonsense = true }")], &Overrides::default()).err();
        let text = error.map(|e| e.to_string()).unwrap_or_default();
        assert!(!text.contains("unknown field") || text.contains("nonsense"), "{path}: {text}");
    }
}

#[test]
fn a_whole_configuration_comes_out_as_written() {
    let config = load_file(
        r#"
        listen = "[::]:8080"
        public_url = "https://registry.example.com/"
        trusted_proxies = ["10.0.0.0/8", "::1"]
        shutdown_timeout = "10s"
        abort_on_panic = true

        [storage]
        url = "s3://bucket/prefix"
        endpoint = "http://127.0.0.1:8333"
        region = "us-east-1"
        access_key_id = "env:SECRET"
        secret_access_key = "file:/run/key"
        allow_http = true
        virtual_hosted = false

        [auth]
        jwt_secret = "env:SECRET"
        token_ttl = "5m"
        signup = true
        max_staleness = 0

        [limits]
        artifact = "5GiB"
        connections = 10
        body_timeout = "90s"

        [cache]
        memory = "8MiB"
        max_staleness = "1s"

        [log]
        format = "json"
        level = "debug"
        file = "/var/log/smartregistry.log"

        [tls]
        cert = "c.pem"
        key = "k.pem"

        [metrics]
        listen = "127.0.0.1:9090"

        [npm]
        base_path = "/js/"
        registry_url = "https://npm.example.com/js/"

        [oci]
        enabled = false

        [pypi]
        base_path = "/python"

        [[registry]]
        name = "npm-internal"
        protocol = "npm"

        [[registry]]
        name = "team"
        protocol = "oci"
        host = "Team.example.com"
        "#,
    )
    .unwrap();
    assert_eq!(config.listen, "[::]:8080");
    assert_eq!(config.public_url.as_deref(), Some("https://registry.example.com"));
    assert!(config.trusted_proxies.contains("10.1.2.3".parse().unwrap()));
    assert_eq!(config.storage.connection.secret_access_key.unwrap().expose_secret(), "key-from-file");
    let Settings::Composer(composer) = &config.instances[1].settings else {
        panic!("composer is the second")
    };
    assert_eq!(composer.max_archive_bytes, 5 << 30);
    let Settings::Maven(maven) = &config.instances[2].settings else { panic!("maven is the third") };
    assert_eq!(maven.max_file_bytes, 5 << 30);
    let Settings::Npm(npm) = &config.instances[3].settings else { panic!("npm is the fourth") };
    assert_eq!(npm.max_tarball_bytes, 5 << 30);
    let Settings::Pypi(pypi) = &config.instances[4].settings else { panic!("pypi is the fifth") };
    assert_eq!(pypi.max_file_bytes, 5 << 30);
    let Settings::Rubygems(rubygems) = &config.instances[5].settings else { panic!("rubygems is the sixth") };
    assert_eq!(rubygems.max_gem_bytes, 5 << 30);
    let Settings::Oci(oci) = &config.instances[7].settings else { panic!("oci is the last") };
    assert_eq!((oci.token_ttl_seconds, oci.max_blob_bytes), (300, Some(5 << 30)));
    assert_eq!(config.auth.max_staleness, Duration::ZERO);
    assert_eq!(config.limits.body_timeout, Duration::from_secs(90));
    assert_eq!(config.log.level, tracing::Level::DEBUG);
    let shown: Vec<String> = config
        .instances
        .iter()
        .map(|i| {
            format!("{} {} {:?} {:?} {:?}", i.name, i.protocol, i.base_paths[0].as_str(), i.host, i.origin)
        })
        .collect();
    assert_eq!(
        shown,
        [
            r#"cargo cargo "/cargo" None None"#,
            r#"composer composer "/composer" None None"#,
            r#"maven maven "/maven" None None"#,
            r#"npm npm "/js" None Some("https://npm.example.com")"#,
            r#"pypi pypi "/python" None None"#,
            r#"rubygems rubygems "/rubygems" None None"#,
            r#"npm-internal npm "/npm-internal" None None"#,
            r#"team oci "/v2" Some("team.example.com") None"#,
        ]
    );
}

#[test]
fn wrong_values_are_refused_with_their_key() {
    refused("listen = 'nowhere'", "`listen`: \"nowhere\" is not an address");
    refused("listen = '1.2.3.4:99999'", "`listen`");
    refused("listen = 3", "`listen`");
    refused("public_url = 'registry.example.com'", "`public_url`");
    refused("public_url = 'https://registry.example.com/sub'", "`public_url`");
    refused("trusted_proxies = ['proxy']", "`trusted_proxies`");
    refused("shutdown_timeout = 'soon'", "`shutdown_timeout`: \"soon\" is not a length of time");
    refused("[storage]\nurl = 'ftp://x'", "`storage.url`");
    refused("[storage]\nallow_http = 'maybe'", "`storage.allow_http`");
    refused("[auth]\njwt_secret = 'short'", "`auth.jwt_secret`: must have at least 32 characters");
    refused("[auth]\njwt_secret = 'env:NOT_THERE'", "`auth.jwt_secret`: the environment variable NOT_THERE");
    refused("[auth]\njwt_secret = 'file:/nowhere'", "`auth.jwt_secret`: the file /nowhere");
    refused("[auth]\ntoken_ttl = 0", "`auth.token_ttl`");
    refused("[auth]\nanonymous = ['nonsense']", "`auth.anonymous`");
    refused("[limits]\ndocument = 'big'", "`limits.document`: \"big\" is not a size");
    refused("[limits]\nconnections = 0", "`limits.connections`");
    refused("[log]\nformat = 'xml'", "`log.format`");
    refused("[log]\nlevel = 'loud'", "`log.level`");
    refused("[tls]\ncert = 'x'", "tls");
    let none = "cargo.enabled = false\ncomposer.enabled = false\nmaven.enabled = false\nnpm.enabled = false\noci.enabled = false\npypi.enabled = false\nrubygems.enabled = false";
    refused(none, "every registry is disabled");
    refused("[npm]\nbase_path = 'npm'", "`npm.base_path`");
    refused("[npm]\nbase_path = '/metrics'", "`npm.base_path`: /metrics is the server's own");
    refused("[npm]\nregistry_url = 'https://x.example.com/other'", "`npm.registry_url`");
    refused("[npm]\nbase_path = '/v2'", "another registry is at /v2 already");
    refused("[npm]\nmax_tarball_bytes = 'big'", "`npm.max_tarball_bytes`: \"big\" is not a size");
    refused("[npm]\nallow_sparse = true", "npm.allow_sparse");
    refused("[maven]\nversions = 'some'", "`maven");
    refused("[maven]\nkeep_snapshot_builds = 'many'", "`maven");
    refused("[[registry]]\nname = 'x'", "`registry[0].protocol`: is missing");
    refused("[[registry]]\nprotocol = 'npm'", "`registry[0].name`: is missing");
    refused("[[registry]]\nname = 'npm'\nprotocol = 'npm'", "write the registry named npm as [npm]");
    refused("[[registry]]\nname = 'Big'\nprotocol = 'npm'", "`registry[0].name`");
    refused("[[registry]]\nname = 'x'\nprotocol = 'apt'", "`registry[0].protocol`");
    refused("[rubygems]\nyanked_days = 'many'", "`rubygems");
    refused("[[registry]]\nname = 'x'\nprotocol = 'oci'", "`registry[0].host`: is missing");
    let twice = "[[registry]]\nname = 'x'\nprotocol = 'npm'\n";
    refused(&twice.repeat(2), "`registry[1].name`: there is another registry named x");
}

#[test]
fn errors_name_file_and_line_and_never_show_the_line() {
    refused("listen = '1.2.3.4:5'\n[auth]\njwt_secret = hunter2hunter2", "smartregistry.toml, line 3");
    for file in [
        "[auth]\njwt_secret = hunter2hunter2",
        "[auth]\njwt_secret = ['hunter2hunter2']",
        "[auth]\njwt_secret = { hunter2hunter2 = 1 }",
        "[storage]\nsecret_access_key = 'hunter2hunter2'\nurl = 'x'",
        "[auth]\njwt_secret = 'hunter2hunter2'",
    ] {
        let error = load_file(file).unwrap_err();
        assert!(!smartregistry::core::Chain(&error).to_string().contains("hunter2"), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn a_configuration_shows_no_secret() {
    let config = load_file(
        "[auth]\njwt_secret = 'hunter2hunter2hunter2hunter2hunter2'\n[storage]\nsecret_access_key = 'hunter2'",
    );
    assert!(!format!("{:?}", config.unwrap()).contains("hunter2"));
}

#[test]
fn unknown_keys_name_the_file_or_the_environment() {
    refused("lisen = 'x'", "smartregistry.toml: unknown key `lisen`; the nearest known one is `listen`");
    let env = [("SMARTREGISTRY_STORAGE", "{ ulr = 'memory:' }")];
    let error = load_from("", &env, &Overrides::default()).unwrap_err().to_string();
    assert_eq!(
        error,
        "in the environment: unknown key `storage.ulr`; the nearest known one is `storage.url`"
    );
}

#[test]
fn roots_of_attestations_are_read_from_their_file() {
    let root = include_str!("../../tests/it/tls/cert.pem");
    let load = |text: &str, pem: &str| {
        let lookup = Lookup {
            variable: &|_| None,
            file: &|path| match path {
                "roots.pem" => Ok(pem.to_owned()),
                _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
            },
        };
        merge(Some((text, Path::new("smartregistry.toml"))), [], &Overrides::default(), &lookup)
    };
    let text = "[pypi]\nattestation_roots = 'roots.pem'\n\
                [[registry]]\nname = 'py'\nprotocol = 'pypi'\nattestation_roots = 'roots.pem'";
    let config = load(text, root).unwrap();
    let found: Vec<bool> = config
        .instances
        .iter()
        .filter_map(|instance| match &instance.settings {
            Settings::Pypi(pypi) => Some(pypi.attestation_roots.is_some()),
            _ => None,
        })
        .collect();
    assert_eq!(found, [true, true]);
    let refused = |text: &str, pem: &str| load(text, pem).unwrap_err().to_string();
    assert_eq!(
        refused(text, "nonsense"),
        "`pypi.attestation_roots`: roots.pem: there is no root certificate in it"
    );
    let broken = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
    assert!(refused(text, &format!("{root}{broken}")).contains("certificate 2 cannot be read"));
    assert!(refused("[pypi]\nattestation_roots = 'other.pem'", root).contains("cannot read other.pem"));
    assert!(refused("[pypi]\nattestation_roots = 1", root).contains("pypi.attestation_roots"));
}

/// The fields of a struct that refuses others, as its refusal lists them.
fn fields_of<T: serde::de::DeserializeOwned + fmt::Debug>() -> Vec<String> {
    let table: Table = "no_such_field_at_all = 1".parse().unwrap();
    let message = table.try_into::<T>().unwrap_err().message().to_owned();
    let (_, listed) = message.split_once("expected").unwrap();
    listed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_field_of_the_protocols_settings_is_a_key() {
    #[track_caller]
    fn check(table: &str, fields: &[String]) {
        assert!(fields.len() > 2, "{table}: {fields:?}");
        for field in fields {
            let path: Vec<&str> = table.split('.').chain([field.as_str()]).collect();
            assert!(keys::find(&path).is_some(), "{table}.{field} is missing in the schema");
        }
    }
    check("cargo", &fields_of::<smartregistry::cargo::CargoConfig>());
    check("composer", &fields_of::<smartregistry::composer::ComposerConfig>());
    check("maven", &fields_of::<smartregistry::maven::MavenConfig>());
    check("npm", &fields_of::<smartregistry::npm::NpmConfig>());
    check("oci", &fields_of::<smartregistry::oci::OciConfig>());
    check("pypi", &fields_of::<smartregistry::pypi::PypiConfig>());
    check("rubygems", &fields_of::<smartregistry::rubygems::RubygemsConfig>());
    check("oci.delete", &fields_of::<smartregistry::oci::DeleteConfig>());
    check("storage", &fields_of::<raw::RawStorage>());
    check("auth", &fields_of::<raw::RawAuth>());
    check("limits", &fields_of::<raw::RawLimits>());
    check("log", &fields_of::<raw::RawLog>());
}

#[test]
fn every_key_is_documented() {
    let page = include_str!("../../../../docs/configuration.md");
    let undocumented: Vec<String> =
        keys::paths().into_iter().filter(|p| p != "registry" && !page.contains(&format!("`{p}`"))).collect();
    assert_eq!(undocumented, Vec::<String>::new());
    assert!(page.contains("[[registry]]"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}") {
        let _ = load_file(&text);
    }

    #[test]
    fn no_value_of_any_key_makes_it_panic(at in 0usize..60, value in "(-?[0-9]{1,20}|true|'[a-z:/.*]{0,12}'|\\[\\]|\\['x'\\])") {
        let paths = keys::paths();
        let path = &paths[at % paths.len()];
        let variable = env::variable(path);
        let _ = load_from("", &[(&variable, &value)], &Overrides::default());
    }
}
