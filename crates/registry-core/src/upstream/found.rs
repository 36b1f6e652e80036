//! A name here and upstream at once: what all protocols do with a [`Routing`].

use super::{Hosted, Route, Routing, Unanswered, Upstreams};
use crate::Actor;

/// What is known of a name.
#[derive(Debug)]
pub enum Found<H, F> {
    /// It is hosted, and that is all.
    Hosted(H),
    /// An upstream has it.
    Foreign(Box<F>),
    /// It is hosted, and what is hosted stands beside what an upstream has.
    Both(H, Box<F>),
}

impl Upstreams {
    /// Looks for a name that the actor may read, here and upstream. `live` is what is hosted and can be had; `hosted` counts what was
    /// deleted, too. `fetch` asks along a route; `None` says that nothing is there.
    pub async fn find<H, F, E, Fetch>(
        &self,
        actor: &Actor,
        name: &str,
        (hosted, live): (Hosted, Option<H>),
        fetch: impl FnOnce(Route) -> Fetch,
    ) -> Result<Option<Found<H, F>>, E>
    where
        E: From<Unanswered>,
        Fetch: Future<Output = Result<Option<F>, E>>,
    {
        let route = match self.route(actor, name, hosted).await? {
            Routing::Local => return Ok(live.map(Found::Hosted)),
            Routing::Denied(denial) => return Err(Unanswered::from(denial).into()),
            Routing::Ask(route) => route,
        };
        let foreign = fetch(route).await?.map(Box::new);
        Ok(match (live, foreign) {
            (Some(hosted), Some(foreign)) => Some(Found::Both(hosted, foreign)),
            (Some(hosted), None) => Some(Found::Hosted(hosted)),
            (None, foreign) => foreign.map(Found::Foreign),
        })
    }

    /// Whether an upstream has something under a name that is not hosted here: publishing under it would take its place. A name that
    /// is merged may be published.
    pub async fn is_taken<F, E, Fetch>(
        &self,
        actor: &Actor,
        name: &str,
        fetch: impl FnOnce(Route) -> Fetch,
    ) -> Result<bool, E>
    where
        E: From<Unanswered>,
        Fetch: Future<Output = Result<Option<F>, E>>,
    {
        match self.route(actor, name, Hosted::No).await? {
            Routing::Ask(route) if !route.merges() => Ok(fetch(route).await?.is_some()),
            Routing::Ask(_) | Routing::Local => Ok(false),
            Routing::Denied(denial) => Err(Unanswered::from(denial).into()),
        }
    }
}
