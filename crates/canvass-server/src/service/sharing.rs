//! Limits that servers on one store count together, where the store has something that counts for all of them.

use std::{net::IpAddr, time::Duration};

use canvass_store::{Demand, Most, Taken};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{
    app::App,
    service::{
        Caller, Failure,
        devices::{DeviceSecret, hexadecimal},
        keys::LiveKey,
        limiting::{
            ADDRESS_READS_NAME, ADDRESS_VOTES_NAME, AddressKey, Class, Limited, SECONDS_PER_DAY, Standing,
            Used,
        },
    },
};

/// Counts a request with those that other servers have had. None where this server has to count for itself.
pub(crate) async fn count_together(
    app: &App,
    caller: &Caller,
    class: Class,
) -> Option<Result<Standing, Failure>> {
    let shared = app.store().shared_limits()?;
    let demands = match &caller.key {
        Some(live) => of_key(live, class),
        None => of_address(app, class, caller.address)?,
    };
    if demands.is_empty() {
        return Some(Ok(Standing::new()));
    }
    let taken = shared.take(&demands).await?;
    let is_told = caller.key.is_some();
    Some(judge(&demands, &taken, is_told))
}

fn of_key(live: &LiveKey, class: Class) -> Vec<Demand> {
    let plan = &live.key.plan;
    let by_class = match class {
        Class::Free | Class::Batch => return Vec::new(),
        Class::PostVotes => ("post-votes", plan.post_votes),
        Class::ReadVotes => ("read-votes", plan.read_votes),
        Class::Api => ("", None),
    };
    let demand = |name, most| Demand { who: format!("key-{}", live.key.id), name, most };
    let rates = [("api", plan.api), by_class].into_iter();
    let rates = rates.filter_map(|(name, rate)| Some(demand(name, Most::Rate(rate?))));
    rates.chain(plan.quota_per_day.map(|most| demand("day", Most::PerDay(most)))).collect()
}

/// None before the secret is known under which addresses are hidden.
fn of_address(app: &App, class: Class, address: IpAddr) -> Option<Vec<Demand>> {
    let (name, rate) = match class {
        Class::Free | Class::Batch => return Some(Vec::new()),
        Class::PostVotes => (ADDRESS_VOTES_NAME, app.parts.settings.address_votes),
        Class::Api | Class::ReadVotes => (ADDRESS_READS_NAME, app.parts.settings.address_reads),
    };
    let Some(rate) = rate else { return Some(Vec::new()) };
    let who = hide(app.known_device_secret()?, AddressKey::of(address));
    Some(vec![Demand { who, name, most: Most::Rate(rate) }])
}

/// An address stands for a voter in some polls, so that it goes nowhere as it is.
fn hide(secret: &DeviceSecret, address: AddressKey) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(b"canvass address ");
    mac.update(address.to_string().as_bytes());
    format!("address-{}", hexadecimal(&mac.finalize().into_bytes()[..16]))
}

/// What callers are told; those without a key only of a refusal.
fn judge(demands: &[Demand], taken: &[Taken], is_told: bool) -> Result<Standing, Failure> {
    let standing = || demands.iter().zip(taken).map(|(demand, taken)| used(demand, taken)).collect();
    match demands.iter().zip(taken).find(|(_, taken)| !taken.is_allowed) {
        None => Ok(if is_told { standing() } else { Standing::new() }),
        Some((demand, taken)) => {
            let by_day = matches!(demand.most, Most::PerDay(_));
            let retry_after = Duration::from_secs(whole_seconds(taken.wait).max(1));
            Err(Failure::Limited(Box::new(Limited { retry_after, by_day, standing: standing() })))
        }
    }
}

fn used(demand: &Demand, taken: &Taken) -> Used {
    match demand.most {
        Most::Rate(rate) => Used::of_rate(demand.name, rate, taken.left),
        Most::PerDay(quota) => Used {
            name: demand.name,
            quota,
            window_seconds: SECONDS_PER_DAY.unsigned_abs(),
            remaining: taken.left,
            reset_seconds: whole_seconds(taken.wait),
        },
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use canvass_domain::key::Rate;

    use super::*;

    fn check(demands: &[Demand], taken: &[(bool, u64, u64)], is_told: bool) -> String {
        let taken: Vec<_> = taken
            .iter()
            .map(|(is_allowed, left, wait_milliseconds)| Taken {
                is_allowed: *is_allowed,
                left: *left,
                wait: Duration::from_millis(*wait_milliseconds),
            })
            .collect();
        match judge(demands, &taken, is_told) {
            Ok(standing) => format!("{standing:?}"),
            Err(Failure::Limited(limited)) => {
                format!("{:?}, {} used", limited.retry_after, limited.standing.len())
            }
            Err(other) => format!("{other:?}"),
        }
    }

    fn demands() -> Vec<Demand> {
        let rate = Most::Rate(Rate { rate: 10, burst: 20 });
        [("api", rate), ("day", Most::PerDay(100))]
            .map(|(name, most)| Demand { who: "key-k".to_owned(), name, most })
            .to_vec()
    }

    #[test]
    fn what_all_servers_have_counted_is_told_as_one_servers_own() {
        assert_eq!(
            check(&demands(), &[(true, 12, 0), (true, 99, 3_600_000)], true),
            "[Used { name: \"api\", quota: 20, window_seconds: 2, remaining: 12, reset_seconds: 1 }, \
             Used { name: \"day\", quota: 100, window_seconds: 86400, remaining: 99, reset_seconds: 3600 }]"
        );
        assert_eq!(check(&demands(), &[(false, 0, 90)], true), "1s, 1 used");
        assert_eq!(check(&demands(), &[(true, 3, 0), (false, 0, 59_200)], true), "60s, 2 used");
        // Who has no key is told of a refusal alone.
        assert_eq!(check(&demands(), &[(true, 12, 0), (true, 99, 0)], false), "[]");
        assert_eq!(check(&demands(), &[(false, 0, 90)], false), "1s, 1 used");
    }

    #[test]
    fn an_address_is_hidden_and_the_same_on_each_server() {
        let hidden = |secret, address: &str| hide(&[secret; 32], AddressKey::of(address.parse().unwrap()));
        assert_eq!(hidden(1, "192.0.2.7"), hidden(1, "::ffff:192.0.2.7"));
        assert_eq!(hidden(1, "2001:db8::1"), hidden(1, "2001:db8::2"));
        assert_ne!(hidden(1, "192.0.2.7"), hidden(2, "192.0.2.7"));
        assert!(!hidden(1, "192.0.2.7").contains("192"));
    }
}
