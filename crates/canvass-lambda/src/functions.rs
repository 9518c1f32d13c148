//! What each function is, reads and needs, in one table: `deploy/functions.json` is made from it, and the templates are
//! compared with that.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::metrics::{METRICS, Metric, NAMESPACE, STACK};

/// The functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Function {
    /// Answers what API Gateway is asked.
    Api,
    /// Folds the stream of votes into the counters.
    Tally,
    /// Writes the polls that have changed to files.
    Export,
}

impl Function {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Api, Self::Tally, Self::Export];

    /// Its name, which is its program's too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Tally => "tally",
            Self::Export => "export",
        }
    }
}

/// A variable that functions read.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// Those that read it.
    pub read_by: &'static [Function],
    /// Whether they do not start without it.
    pub is_needed: bool,
}

use Function::{Api, Export, Tally};

/// What the names of the tables begin with.
pub(crate) const TABLE_PREFIX: Variable = Variable {
    name: "CANVASS_TABLE_PREFIX",
    meaning: "What the names of the tables begin with",
    read_by: &[Api, Tally, Export],
    is_needed: true,
};

/// Where the admin key is.
pub(crate) const ADMIN_KEY_SECRET: Variable = Variable {
    name: "CANVASS_ADMIN_KEY_SECRET",
    meaning: "Amazon resource name of a secret in Secrets Manager whose whole text is the admin key",
    read_by: &[Api],
    is_needed: true,
};

/// What all running functions share.
pub(crate) const REDIS: Variable = Variable {
    name: "CANVASS_REDIS",
    meaning: "Redis for current results and limits that all share: redis:// or, with TLS, rediss://; none if absent",
    read_by: &[Api],
    is_needed: false,
};

/// By what CloudFront is known.
pub(crate) const EDGE_KEY_SECRET: Variable = Variable {
    name: "CANVASS_EDGE_KEY_SECRET",
    meaning: "Amazon resource name of a secret whose text CloudFront sends, if it is in front: then its callers' addresses are believed",
    read_by: &[Api],
    is_needed: false,
};

/// Whether a first vote opens a poll.
pub(crate) const IMPLICIT_POLLS: Variable = Variable {
    name: "CANVASS_IMPLICIT_POLLS",
    meaning: "true: a vote in one of the documents' dialects opens a poll that nobody created",
    read_by: &[Api],
    is_needed: false,
};

/// Where exports go.
pub(crate) const EXPORT_TO: Variable = Variable {
    name: "CANVASS_EXPORT_TO",
    meaning: "Where exports are written",
    read_by: &[Export],
    is_needed: true,
};

/// When voters are erased.
pub(crate) const ERASE_AFTER_DAYS: Variable = Variable {
    name: "CANVASS_ERASE_AFTER_DAYS",
    meaning: "Days after a poll's close after which its voters are erased, or off; 90 if absent",
    read_by: &[Export],
    is_needed: false,
};

/// What is logged.
pub(crate) const LOG: Variable = Variable {
    name: "CANVASS_LOG",
    meaning: "Which log lines are written: error, warn, info, debug or trace, or a filter; info if absent",
    read_by: &[Api, Tally, Export],
    is_needed: false,
};

/// Everything of this project's that the functions read. Credentials, region and endpoints are read by Amazon's SDK.
pub const VARIABLES: [Variable; 8] = [
    TABLE_PREFIX,
    ADMIN_KEY_SECRET,
    EDGE_KEY_SECRET,
    IMPLICIT_POLLS,
    REDIS,
    EXPORT_TO,
    ERASE_AFTER_DAYS,
    LOG,
];

/// What a function must be allowed to do.
#[derive(Clone, Copy, Debug)]
pub struct Permission {
    /// Who.
    pub function: Function,
    /// On what: a table by the end of its name, its indexes or its stream, or another resource.
    pub resource: &'static str,
    /// The actions, as policies name them.
    pub actions: &'static [&'static str],
}

const READ_AND_WRITE: &[&str] = &["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"];

/// A vote whose voter is erased is written anew without the voter, and taken out where it was.
const CAST_AND_ERASE: &[&str] = &["dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Query"];

/// Everything that the functions ask of AWS beside writing their logs.
pub const PERMISSIONS: [Permission; 13] = [
    Permission { function: Api, resource: "table main", actions: READ_AND_WRITE },
    Permission { function: Api, resource: "table main indexes", actions: &["dynamodb:Query"] },
    Permission { function: Api, resource: "table votes", actions: CAST_AND_ERASE },
    Permission { function: Api, resource: "table tally", actions: READ_AND_WRITE },
    Permission { function: Api, resource: "admin key", actions: &["secretsmanager:GetSecretValue"] },
    Permission { function: Api, resource: "edge key", actions: &["secretsmanager:GetSecretValue"] },
    Permission {
        function: Tally,
        resource: "table tally",
        actions: &["dynamodb:GetItem", "dynamodb:PutItem"],
    },
    Permission {
        function: Tally,
        resource: "table votes stream",
        actions: &[
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
        ],
    },
    // It takes the steps that time has made due, such as closing a poll before its last export, and erases voters.
    Permission { function: Export, resource: "table main", actions: READ_AND_WRITE },
    Permission { function: Export, resource: "table main indexes", actions: &["dynamodb:Query"] },
    Permission { function: Export, resource: "table votes", actions: CAST_AND_ERASE },
    Permission { function: Export, resource: "table tally", actions: READ_AND_WRITE },
    Permission {
        function: Export,
        resource: "exports",
        actions: &["s3:GetObject", "s3:ListBucket", "s3:PutObject"],
    },
];

/// The tables of this file as JSON, for those who write templates.
pub fn description() -> String {
    let functions = Function::ALL.map(|function| (function.name(), describe(function))).into();
    let described = Described {
        comment: "Made by a test from crates/canvass-lambda/src/functions.rs and metrics.rs.",
        runtime: "provided.al2023",
        handler: "bootstrap",
        functions,
        metrics: DescribedMetrics { namespace: NAMESPACE, stack: STACK, metrics: METRICS.to_vec() },
    };
    serde_json::to_string_pretty(&described).expect("texts and numbers are JSON") + "\n"
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    comment: &'static str,
    runtime: &'static str,
    handler: &'static str,
    functions: BTreeMap<&'static str, DescribedFunction>,
    metrics: DescribedMetrics,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribedFunction {
    binary: &'static str,
    variables: Vec<DescribedVariable>,
    actions: BTreeMap<&'static str, &'static [&'static str]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribedVariable {
    name: &'static str,
    needed: bool,
    meaning: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribedMetrics {
    namespace: &'static str,
    /// The dimension of all, whose value is the variable of the tables' prefix.
    stack: &'static str,
    metrics: Vec<Metric>,
}

fn describe(function: Function) -> DescribedFunction {
    let variables = VARIABLES.iter().filter(|variable| variable.read_by.contains(&function));
    let permissions = PERMISSIONS.iter().filter(|permission| permission.function == function);
    DescribedFunction {
        binary: function.name(),
        variables: variables
            .map(|Variable { name, is_needed, meaning, .. }| DescribedVariable {
                name,
                needed: *is_needed,
                meaning,
            })
            .collect(),
        actions: permissions.map(|permission| (permission.resource, permission.actions)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use super::*;

    #[test]
    fn the_file_for_templates_is_as_the_tables_say() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/functions.json");
        let newest = env::temp_dir().join("canvass-functions.json");
        fs::write(&newest, description()).unwrap();
        let is_kept = fs::read_to_string(&kept).is_ok_and(|kept| kept == description());
        let newest = newest.display();
        assert!(is_kept, "the functions have changed; if that is meant: cp {newest} deploy/functions.json");
    }
}
