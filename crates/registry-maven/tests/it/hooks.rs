//! A host's say in what happens.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use registry_core::{
    hooks::{Denied, HookEvent, Hooks, StorageHooks},
    storage::{Storage, StorageOptions},
};

use crate::app::{App, Setup};

#[derive(Debug, Default)]
struct Watch {
    seen: Mutex<Vec<String>>,
}

impl Watch {
    fn note(&self, when: &str, event: &HookEvent) {
        let HookEvent { operation, package, version, size, .. } = event;
        let key = event.key.rsplit('/').next().unwrap();
        self.seen.lock().unwrap().push(format!(
            "{when} {} {} {} {key} {size:?}",
            operation.as_str(),
            package.as_deref().unwrap_or_default(),
            version.as_deref().unwrap_or_default(),
        ));
    }

    fn judge(&self, event: &HookEvent) -> Result<(), Denied> {
        self.note("before", event);
        if event.key.contains("forbidden") {
            Err(Denied::new("the house does not want this"))
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl StorageHooks for Watch {
    async fn before_put(&self, event: &HookEvent) -> Result<(), Denied> {
        self.judge(event)
    }

    async fn after_put(&self, event: &HookEvent) {
        self.note("after", event);
    }

    async fn before_get(&self, event: &HookEvent) -> Result<(), Denied> {
        self.judge(event)
    }

    async fn before_delete(&self, event: &HookEvent) -> Result<(), Denied> {
        self.judge(event)
    }

    async fn after_delete(&self, event: &HookEvent) {
        self.note("after", event);
    }
}

fn watched() -> (App, Arc<Watch>) {
    let watch = Arc::new(Watch::default());
    let mut options = StorageOptions::default();
    options.hooks = Hooks::new(vec![Arc::<Watch>::clone(&watch)]);
    let mut setup = Setup::new();
    setup.storage = Storage::memory(options);
    (setup.build(), watch)
}

#[tokio::test]
async fn hooks_see_what_happens_with_its_facts() {
    let (app, watch) = watched();
    app.put("/com/acme/lib/1.0/lib-1.0.jar", "jar").await.expect(201);
    app.get("/com/acme/lib/1.0/lib-1.0.jar").await.expect(200);
    app.delete("/com/acme/lib/1.0/").await.expect(204);
    assert_eq!(
        *watch.seen.lock().unwrap(),
        [
            "before put com.acme:lib 1.0 lib-1.0.jar Some(3)",
            "after put com.acme:lib 1.0 lib-1.0.jar Some(3)",
            "before get com.acme:lib 1.0 lib-1.0.jar Some(3)",
            "before delete com.acme:lib 1.0 _version.json None",
            "after delete com.acme:lib 1.0 _version.json None",
        ]
    );
}

#[tokio::test]
async fn a_refusal_is_told_and_leaves_nothing() {
    let (app, _) = watched();
    let put = app.ask("PUT", "/com/forbidden/lib/1.0/lib-1.0.jar").token("alice-token").body("jar");
    app.refused(put, 403, "the house does not want this").await;
    app.get("/com/forbidden/lib/maven-metadata.xml").await.expect(404);
}
