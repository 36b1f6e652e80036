//! docs/maven.md says which test shows what: what it names is there, and what is there it names.

use registry_core::testing::Page;

#[test]
fn every_test_that_the_page_names_is_there() {
    Page::read(env!("CARGO_MANIFEST_DIR"), "maven.md").check();
}
