//! `canvass vote`: casts one vote, and sends it again under the same idempotency key where its answer is lost.

use bytes::Bytes;
use clap::Args;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::{
    cli::Access,
    client::{Answer, Client, Outcome, Problem, segment},
    edge,
    failure::Failure,
    limits::{RETRY_WAIT, RETRY_WAIT_MAX, VOTE_TRIES_MAX, VOTE_WAIT_MAX},
    output,
};

#[derive(Debug, Args)]
pub(crate) struct VoteArgs {
    /// The poll's id
    poll: String,
    /// Who votes
    #[arg(long, value_name = "ID", conflicts_with = "code")]
    voter: Option<String>,
    /// The one-time code, in polls that ask for one
    #[arg(long)]
    code: Option<String>,
    #[command(flatten)]
    ballot: BallotArgs,
    /// What the vote tells of its voter; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
    demographic: Vec<(String, String)>,
    /// How much the vote counts, where the poll has weights
    #[arg(long, value_name = "DECIMAL")]
    weight: Option<String>,
    /// The name of this request: sent again under the same, it counts once [default: a random one]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// Exactly one of the five forms of a ballot.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct BallotArgs {
    /// One option
    #[arg(long, value_name = "OPTION")]
    choice: Option<String>,
    /// Several options
    #[arg(long, value_name = "A,B,…")]
    choices: Option<String>,
    /// Options from the most preferred down; = joins those of equal rank, and nothing between commas skips a rank
    #[arg(long, value_name = "A,B=C,…")]
    ranking: Option<String>,
    /// A score for options
    #[arg(long, value_name = "A=5,B=0,…")]
    scores: Option<String>,
    /// Dots or votes for options
    #[arg(long, value_name = "A=3,B=1,…")]
    allocation: Option<String>,
}

pub(crate) async fn run(args: VoteArgs) -> Result<(), Failure> {
    let request = request(&args)?;
    let key = args.idempotency_key.unwrap_or_else(edge::request_key);
    let path = format!("/v1/polls/{}/votes", segment(&args.poll));
    let answer = cast(&mut args.access.client()?, &path, &key, request.to_string().into()).await?;
    if args.access.json {
        return Ok(output::answer(&answer)?);
    }
    let vote = answer.json()?;
    let before = if answer.header("idempotency-replayed").is_some() { " before" } else { "" };
    Ok(output::line(format_args!("Vote {} is recorded{before}", output::text(&vote["voteId"])))?)
}

/// Casts a vote. It counts once however often it has to be sent.
async fn cast(client: &mut Client, path: &str, key: &str, body: Bytes) -> Result<Answer, Failure> {
    let mut wait = RETRY_WAIT;
    let mut tries = 0;
    let mut may_be_recorded = false;
    loop {
        tries += 1;
        let headers = [("idempotency-key", key)];
        let sending = client.exchange(Method::POST, path, &headers, Some(body.clone()));
        let outcome = tokio::time::timeout(VOTE_WAIT_MAX, sending).await;
        let asked_wait = match outcome {
            Ok(Outcome::Done(answer)) => return Ok(answer),
            Ok(Outcome::Refused(problem)) if is_passing(&problem) && tries < VOTE_TRIES_MAX => {
                problem.retry_after
            }
            Ok(Outcome::Refused(problem)) => return Err(problem.into()),
            // A server that never took the vote may be the wrong one; one that did will be back.
            Ok(Outcome::Lost(lost)) if tries == VOTE_TRIES_MAX || !(lost.sent || may_be_recorded) => {
                return Err(client.lost(&lost));
            }
            Ok(Outcome::Lost(_)) => None,
            Err(_) if tries < VOTE_TRIES_MAX => None,
            Err(_) => {
                return Err(Failure::failed(format!(
                    "{} does not answer; the vote may be recorded: send it again with --idempotency-key {key}",
                    client.url()
                )));
            }
        };
        may_be_recorded = true;
        tokio::time::sleep(asked_wait.unwrap_or(wait).min(RETRY_WAIT_MAX)).await;
        wait = wait.saturating_mul(2);
    }
}

/// Whether the same request may be taken a little later.
fn is_passing(problem: &Problem) -> bool {
    matches!(problem.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
        && problem.kind != "quota-exceeded"
}

fn request(args: &VoteArgs) -> Result<Value, Failure> {
    let mut request = json!({"ballot": ballot(&args.ballot)?});
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            request[name] = value;
        }
    };
    set("voterId", args.voter.clone().map(Value::from));
    set("code", args.code.clone().map(Value::from));
    set("weight", args.weight.clone().map(Value::from));
    let demographics: Map<_, _> =
        args.demographic.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    set("demographics", (!demographics.is_empty()).then_some(Value::Object(demographics)));
    Ok(request)
}

fn ballot(args: &BallotArgs) -> Result<Value, Failure> {
    let BallotArgs { choice, choices, ranking, scores, allocation } = args;
    Ok(match (choice, choices, ranking, scores, allocation) {
        (Some(option), ..) => json!({"choice": option}),
        (_, Some(list), ..) => {
            json!({"choices": list.split(',').filter(|id| !id.is_empty()).collect::<Vec<_>>()})
        }
        (_, _, Some(list), ..) => json!({"ranking": list.split(',').map(rank).collect::<Vec<_>>()}),
        (_, _, _, Some(list), _) => json!({"scores": marks("--scores", list)?}),
        (.., Some(list)) => json!({"allocation": marks("--allocation", list)?}),
        // The command line asks for one of them.
        (None, None, None, None, None) => Value::Null,
    })
}

fn rank(text: &str) -> Value {
    match text.split('=').collect::<Vec<_>>()[..] {
        [""] => Value::Null,
        [one] => Value::from(one),
        ref equal => Value::from(equal.to_vec()),
    }
}

fn marks(flag: &str, list: &str) -> Result<Value, Failure> {
    let wrong = |text: &str| Failure::usage(format!("{flag}: write {text:?} as OPTION=NUMBER"));
    let mark = |text: &str| {
        let (id, number) = text.split_once('=').ok_or_else(|| wrong(text))?;
        let number: i32 = number.parse().map_err(|_| wrong(text))?;
        Ok((id.to_owned(), Value::from(number)))
    };
    list.split(',')
        .filter(|text| !text.is_empty())
        .map(mark)
        .collect::<Result<Map<_, _>, _>>()
        .map(Value::Object)
}

fn parse_pair(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(set: impl FnOnce(&mut BallotArgs), expected: &Value) {
        let mut args =
            BallotArgs { choice: None, choices: None, ranking: None, scores: None, allocation: None };
        set(&mut args);
        assert_eq!(ballot(&args).unwrap(), *expected);
    }

    #[test]
    fn ballots_are_written_as_the_api_takes_them() {
        check(|args| args.choice = Some("a".into()), &json!({"choice": "a"}));
        check(|args| args.choices = Some("a,b".into()), &json!({"choices": ["a", "b"]}));
        check(
            |args| args.ranking = Some("a,b=c,,d".into()),
            &json!({"ranking": ["a", ["b", "c"], null, "d"]}),
        );
        check(|args| args.scores = Some("a=5,b=0".into()), &json!({"scores": {"a": 5, "b": 0}}));
        check(|args| args.allocation = Some("a=3,b=-1".into()), &json!({"allocation": {"a": 3, "b": -1}}));
    }
}
