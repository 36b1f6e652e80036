//! Platforms taken apart as `gem` does: a processor, a system, and the system's version.

/// A platform's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts<'p> {
    /// `None` where the platform names no processor: `java`.
    pub(crate) cpu: Option<&'p str>,
    pub(crate) os: &'p str,
    pub(crate) version: Option<&'p str>,
}

/// Systems whose version, if any, is a number behind the name.
const NUMBERED: &[&str] = &["aix", "dalvik", "darwin", "dotnet", "freebsd", "java", "openbsd", "solaris"];
/// Systems without versions.
const PLAIN: &[&str] = &["cygwin", "mingw32", "netbsdelf"];

/// The parts of a platform, where it is of a system that every `gem` knows. Of others each version of `gem` makes something else, and
/// is left to do so.
pub(crate) fn parts(platform: &str) -> Option<Parts<'_>> {
    let (cpu, system) = match platform.split_once('-') {
        Some((cpu, system)) => (Some(if is_x86(cpu) { "x86" } else { cpu }), system),
        None => (None, platform),
    };
    if let Some((os, version)) = system.split_once('-')
        && cpu.is_some()
        && is_number(version)
    {
        return (!os.is_empty()).then_some(Parts { cpu, os, version: Some(version) });
    }
    let (os, version) = system_parts(system)?;
    let cpu = cpu.or_else(|| (os == "mswin32").then_some("x86"));
    Some(Parts { cpu, os, version })
}

fn system_parts(system: &str) -> Option<(&str, Option<&str>)> {
    if PLAIN.contains(&system) {
        return Some((system, None));
    }
    if system == "jruby" {
        return Some(("java", None));
    }
    for os in NUMBERED {
        if let Some(version) = system.strip_prefix(os) {
            return is_number(version)
                .then_some((*os, Some(version)))
                .or(version.is_empty().then_some((*os, None)));
        }
    }
    for os in ["linux", "mingw"] {
        if let Some(rest) = system.strip_prefix(os) {
            let version = rest.strip_prefix('-').unwrap_or(rest);
            if !version.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
                return None;
            }
            // The usual C library is not told apart from none.
            let is_usual = version.is_empty() || (os == "linux" && version.starts_with("gnu"));
            return Some((os, (!is_usual).then_some(version)));
        }
    }
    // mswin64_140: the system's name has digits of its own.
    let (os, version) = system.split_once('_').map_or((system, None), |(os, version)| (os, Some(version)));
    let is_mswin = os.strip_prefix("mswin").is_some_and(is_digits) && version.is_none_or(is_digits);
    is_mswin.then_some((os, version))
}

/// i386 and its followers.
fn is_x86(cpu: &str) -> bool {
    matches!(cpu.as_bytes(), [b'i', digit, b'8', b'6'] if digit.is_ascii_digit())
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Digits, or two such with a dot between them.
fn is_number(text: &str) -> bool {
    text.split_once('.').map_or_else(|| is_digits(text), |(whole, rest)| is_digits(whole) && is_digits(rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_those_that_gem_sees() {
        // What `Gem::Platform.new` of gem 3.3 says.
        for (platform, cpu, os, version) in [
            ("x86-mingw32", Some("x86"), "mingw32", None),
            ("java", None, "java", None),
            ("jruby", None, "java", None),
            ("java1.8", None, "java", Some("1.8")),
            ("universal-java-11", Some("universal"), "java", Some("11")),
            ("x64-mingw-ucrt", Some("x64"), "mingw", Some("ucrt")),
            ("x86-mingw", Some("x86"), "mingw", None),
            ("x86_64-linux", Some("x86_64"), "linux", None),
            ("x86_64-linux-musl", Some("x86_64"), "linux", Some("musl")),
            ("x86_64-linux-gnu", Some("x86_64"), "linux", None),
            ("arm-linux-gnueabihf", Some("arm"), "linux", None),
            ("x86-linux2", Some("x86"), "linux", Some("2")),
            ("i686-linux", Some("x86"), "linux", None),
            ("arm64-darwin", Some("arm64"), "darwin", None),
            ("x86_64-darwin-20", Some("x86_64"), "darwin", Some("20")),
            ("x86-darwin8", Some("x86"), "darwin", Some("8")),
            ("x86-mswin32-60", Some("x86"), "mswin32", Some("60")),
            ("mswin32", Some("x86"), "mswin32", None),
            ("x64-mswin64_140", Some("x64"), "mswin64", Some("140")),
            ("x86-solaris2.10", Some("x86"), "solaris", Some("2.10")),
            ("powerpc-aix5", Some("powerpc"), "aix", Some("5")),
            ("amd64-freebsd-13", Some("amd64"), "freebsd", Some("13")),
            ("x86-freebsd13", Some("x86"), "freebsd", Some("13")),
            ("x86_64-openbsd7.0", Some("x86_64"), "openbsd", Some("7.0")),
            ("x86_64-netbsdelf", Some("x86_64"), "netbsdelf", None),
            ("dalvik", None, "dalvik", None),
            ("dotnet4.0", None, "dotnet", Some("4.0")),
            ("cygwin", None, "cygwin", None),
        ] {
            assert_eq!(parts(platform), Some(Parts { cpu, os, version }), "{platform}");
        }
        for platform in [
            "wasm32-wasi",
            "a-b-c-d",
            "foo",
            "my_platform1",
            "x86-linux-gnu-2",
            "x86_64",
            "mswin",
            "a--1",
            "",
        ] {
            assert_eq!(parts(platform), None, "{platform}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-z0-9_.-]{0,20}") {
            if let Some(parts) = parts(&text) {
                prop_assert!(!parts.os.is_empty());
            }
        }
    }
}
