//! A server with polls of every kind, for a browser to visit.

use serde_json::{Value, json};

use crate::{
    http::Client,
    outcome::{Outcome, ensure},
    server::{Program, Server, free_address},
};

/// A real server in a directory of its own.
pub(crate) struct World {
    program: Program,
    directory: tempfile::TempDir,
    server: Option<Server>,
    client: Client,
    /// Where the pages are.
    pub(crate) origin: String,
    voters: u32,
}

impl World {
    /// Starts an empty server.
    pub(crate) fn start(program: Program) -> Outcome<Self> {
        let directory = tempfile::Builder::new().prefix("canvass-browser-").tempdir()?;
        let address = free_address()?;
        let server = program.start(&directory.path().join("data"), address)?;
        let client = server.client();
        let origin = format!("http://{address}");
        Ok(Self { program, directory, server: Some(server), client, origin, voters: 0 })
    }

    /// Makes a poll. What `poll` does not say is as in most: open, public, and with these options.
    pub(crate) fn poll(&mut self, id: &str, title: &str, options: &[&str], poll: &Value) -> Outcome {
        let label = |(place, label): (usize, &&str)| json!({"id": format!("o{}", place + 1), "label": label});
        let options: Vec<_> = options.iter().enumerate().map(label).collect();
        let mut whole =
            json!({"id": id, "title": title, "options": options, "status": "open", "access": "public"});
        for (name, value) in poll.as_object().into_iter().flatten() {
            whole[name] = value.clone();
        }
        self.post("/v1/polls", &whole, 201).map(drop)
    }

    /// Casts a vote of a voter who has not voted.
    pub(crate) fn vote(&mut self, poll: &str, ballot: &Value) -> Outcome {
        self.voters += 1;
        let vote = json!({"voterId": format!("voter-{}", self.voters), "ballot": ballot});
        self.post(&format!("/v1/polls/{poll}/votes"), &vote, 201).map(drop)
    }

    /// Sends JSON as the administrator, and expects a status.
    pub(crate) fn post(&mut self, path: &str, body: &Value, status: u16) -> Outcome<Value> {
        let answer = self.client.post(path, body)?;
        ensure(answer.status == status, || format!("POST {path}: {}", answer.shown()))?;
        Ok(answer.json())
    }

    /// A poll's results as the API tells them.
    pub(crate) fn results(&mut self, poll: &str) -> Outcome<Value> {
        let answer = self.client.get(&format!("/v1/polls/{poll}/results?reveal=true"))?;
        ensure(answer.status == 200, || format!("the results of {poll}: {}", answer.shown()))?;
        Ok(answer.json())
    }

    /// Stops the server in order, or kills it.
    pub(crate) fn stop(&mut self, kill: bool) -> Outcome {
        let Some(server) = self.server.take() else { return Ok(()) };
        if kill { server.kill() } else { server.stop().map(drop) }
    }

    /// Starts it again, at the same address over the same data.
    pub(crate) fn start_again(&mut self) -> Outcome {
        let address = self.origin.trim_start_matches("http://").parse()?;
        let server = self.program.start(&self.directory.path().join("data"), address)?;
        self.client = server.client();
        self.server = Some(server);
        Ok(())
    }
}
