//! Reads the environment, each variable once: those of the table in `functions` and no other.

use std::collections::BTreeMap;

use crate::functions::{Function, VARIABLES, Variable};

/// What a function's environment says.
pub(crate) struct Environment(BTreeMap<&'static str, String>);

impl Environment {
    /// Reads what the function reads.
    ///
    /// # Errors
    /// A variable that it does not start without is missing or empty.
    pub(crate) fn read(function: Function) -> Result<Self, String> {
        Self::from(function, variable)
    }

    fn from(function: Function, read: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let mut values = BTreeMap::new();
        for Variable { name, meaning, is_needed, .. } in
            VARIABLES.iter().filter(|variable| variable.read_by.contains(&function))
        {
            match read(name).filter(|value| !value.is_empty()) {
                Some(value) => {
                    values.insert(*name, value);
                }
                None if *is_needed => return Err(format!("{name} is not set: {meaning}")),
                None => {}
            }
        }
        Ok(Self(values))
    }

    /// What a variable says, if it is set and the function reads it.
    pub(crate) fn get(&self, variable: &Variable) -> Option<&str> {
        self.0.get(variable.name).map(String::as_str)
    }

    /// What a variable says without which the function would not have started.
    pub(crate) fn needed(&self, variable: &Variable) -> &str {
        self.get(variable).unwrap_or_default()
    }
}

/// The environment as text: what object stores are reached with is looked for in it as their makers' tools do, for Lambda
/// tells the function's role so. Variables that are no text are none of those.
pub(crate) fn clouds() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

#[expect(clippy::disallowed_methods, reason = "this is the edge of the functions")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::LOG;

    fn check(function: Function, given: &[(&str, &str)], expected: Result<Option<&str>, &str>) {
        let read = |name: &str| Some(given.iter().find(|(known, _)| *known == name)?.1.to_owned());
        let environment = Environment::from(function, read);
        let log = environment.as_ref().map(|environment| environment.get(&LOG)).map_err(String::as_str);
        assert_eq!(log, expected);
    }

    #[test]
    fn what_is_needed_is_asked_for() {
        check(Function::Tally, &[("CANVASS_TABLE_PREFIX", "canvass")], Ok(None));
        check(
            Function::Tally,
            &[("CANVASS_TABLE_PREFIX", "canvass"), ("CANVASS_LOG", "debug")],
            Ok(Some("debug")),
        );
        check(
            Function::Tally,
            &[("CANVASS_TABLE_PREFIX", "")],
            Err("CANVASS_TABLE_PREFIX is not set: What the names of the tables begin with"),
        );
        check(
            Function::Export,
            &[("CANVASS_TABLE_PREFIX", "canvass")],
            Err("CANVASS_EXPORT_TO is not set: Where exports are written"),
        );
    }
}
