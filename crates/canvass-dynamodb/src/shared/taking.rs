//! Limits that all servers count together, by Redis's own time.

use std::{future::Future, pin::Pin, time::Duration};

use canvass_store::{Demand, Most, SharedLimits, Taken};
use redis::Script;

use super::Shared;

pub(super) struct Taking {
    prefix: String,
    script: Script,
}

impl Taking {
    pub(super) fn new(table_prefix: &str) -> Self {
        Self {
            prefix: format!("canvass:{table_prefix}:limit"),
            script: Script::new(include_str!("take.lua")),
        }
    }

    /// All of one caller's limits lie in the same slot of a cluster, so that one script can take from them.
    fn key(&self, demand: &Demand) -> String {
        format!("{}:{{{}}}:{}", self.prefix, demand.who, demand.name)
    }
}

impl SharedLimits for Shared {
    fn take<'a>(
        &'a self,
        demands: &'a [Demand],
    ) -> Pin<Box<dyn Future<Output = Option<Vec<Taken>>> + Send + 'a>> {
        Box::pin(async move {
            let mut script = self.taking.script.prepare_invoke();
            for demand in demands {
                script.key(self.taking.key(demand));
                match demand.most {
                    Most::Rate(rate) => script.arg("rate").arg(rate.rate.max(1)).arg(rate.burst.max(1)),
                    Most::PerDay(most) => script.arg("day").arg(most).arg(0),
                };
            }
            let told: Vec<i64> = self.link.ask(&script).await?;
            Some(told.chunks_exact(3).map(taken).collect())
        })
    }
}

fn taken(told: &[i64]) -> Taken {
    let whole = |number: i64| u64::try_from(number).unwrap_or(0);
    Taken { is_allowed: told[0] == 1, left: whole(told[1]), wait: Duration::from_micros(whole(told[2])) }
}
