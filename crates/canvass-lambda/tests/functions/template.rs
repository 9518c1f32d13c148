//! The template as it is deployed, resolved as CloudFormation would: parameters at their defaults, conditions, and
//! references to what a test has made in their place.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Map, Value, json};

/// The template, and what stands for the things in it.
pub(crate) struct Template {
    whole: Value,
    parameters: BTreeMap<String, Value>,
    /// `Ref` of a resource by its name, and `Name.Attribute` for `Fn::GetAtt`.
    made: BTreeMap<String, String>,
}

impl Template {
    /// Reads the template that is kept; `given` are the parameters that have no default.
    pub(crate) fn read(given: &[(&str, &str)], made: BTreeMap<String, String>) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/canvass.template.json");
        let whole: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let defaults = whole["Parameters"].as_object().unwrap().iter();
        let mut parameters: BTreeMap<_, _> =
            defaults.map(|(name, parameter)| (name.clone(), parameter["Default"].clone())).collect();
        parameters.extend(given.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        Self { whole, parameters, made }
    }

    /// Says what stands for a resource, or for an attribute of one.
    pub(crate) fn make(&mut self, name: &str, value: impl Into<String>) {
        self.made.insert(name.to_owned(), value.into());
    }

    /// The resources of a kind that are deployed, by their names, with their properties as they stand in the template.
    pub(crate) fn of(&self, kind: &str) -> Vec<(&str, &Value)> {
        let resources = self.whole["Resources"].as_object().unwrap().iter();
        resources
            .filter(|(_, resource)| resource["Type"] == kind)
            .filter(|(_, resource)| {
                resource["Condition"].as_str().is_none_or(|name| self.holds(&json!({"Condition": name})))
            })
            .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
            .collect()
    }

    /// The properties of a resource.
    pub(crate) fn properties(&self, name: &str) -> &Value {
        &self.whole["Resources"][name]["Properties"]
    }

    /// A value without functions; none where there is to be none.
    pub(crate) fn resolve(&self, value: &Value) -> Option<Value> {
        match value {
            Value::Array(all) => Some(all.iter().filter_map(|one| self.resolve(one)).collect()),
            Value::Object(object) => match object.iter().next() {
                Some((name, of)) if object.len() == 1 && (name == "Ref" || name.starts_with("Fn::")) => {
                    self.call(name, of)
                }
                _ => Some(Value::Object(self.members(object))),
            },
            plain => Some(plain.clone()),
        }
    }

    /// A value that is a text once it is resolved.
    pub(crate) fn text(&self, value: &Value) -> String {
        match self.resolve(value) {
            Some(Value::String(text)) => text,
            Some(Value::Number(number)) => number.to_string(),
            other => panic!("{value} is no text but {other:?}"),
        }
    }

    fn members(&self, object: &Map<String, Value>) -> Map<String, Value> {
        let members = object.iter();
        members.filter_map(|(name, value)| Some((name.clone(), self.resolve(value)?))).collect()
    }

    fn call(&self, function: &str, of: &Value) -> Option<Value> {
        match function {
            "Ref" => self.reference(of.as_str().unwrap()),
            "Fn::GetAtt" => {
                Some(self.stands_for(&format!("{}.{}", of[0].as_str().unwrap(), of[1].as_str().unwrap())))
            }
            "Fn::Join" => {
                let parts: Vec<_> = of[1].as_array().unwrap().iter().map(|part| self.text(part)).collect();
                Some(parts.join(of[0].as_str().unwrap()).into())
            }
            "Fn::If" => {
                let holds = self.holds(&json!({"Condition": of[0]}));
                self.resolve(if holds { &of[1] } else { &of[2] })
            }
            other => panic!("{other} is not known here"),
        }
    }

    fn reference(&self, name: &str) -> Option<Value> {
        match name {
            "AWS::NoValue" => None,
            _ => Some(self.parameters.get(name).cloned().unwrap_or_else(|| self.stands_for(name))),
        }
    }

    fn stands_for(&self, name: &str) -> Value {
        let made = self.made.get(name).unwrap_or_else(|| panic!("nothing stands for {name}"));
        made.as_str().into()
    }

    fn holds(&self, condition: &Value) -> bool {
        let (name, of) = condition.as_object().unwrap().iter().next().unwrap();
        match name.as_str() {
            "Condition" => self.holds(&self.whole["Conditions"][of.as_str().unwrap()]),
            "Fn::Equals" => self.text(&of[0]) == self.text(&of[1]),
            "Fn::Not" => !self.holds(&of[0]),
            "Fn::And" => of.as_array().unwrap().iter().all(|one| self.holds(one)),
            "Fn::Or" => of.as_array().unwrap().iter().any(|one| self.holds(one)),
            other => panic!("{other} is not known here"),
        }
    }
}
