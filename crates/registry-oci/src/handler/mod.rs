pub(crate) mod route;
