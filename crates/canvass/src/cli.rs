//! The command line as a whole. Each command's own options stand with the command.

use clap::{Args, Parser, Subcommand};

use crate::{
    client::Client,
    command::{
        backup, completions, config, count, demo, doctor, dynamodb, export, import, key, man, migrate, poll,
        recount, restore, results, serve, vote,
    },
    config::ClientFile,
    failure::Failure,
};

/// Polls and votes that count exactly once.
///
/// Start with `canvass serve`: it prints an address, an admin key and what to do next. Every option of the server is
/// also an environment variable and a key of canvass.toml: the flag comes first, then the variable, then the file.
#[derive(Debug, Parser)]
#[command(name = "canvass", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    Serve(Box<serve::ServeArgs>),
    /// Run a server with four lively polls and simulated voters, to look at
    Demo(demo::DemoArgs),
    /// Create polls and lead them through their life
    Poll(poll::PollArgs),
    /// Cast a vote
    Vote(vote::VoteArgs),
    /// Show a poll's results
    Results(results::ResultsArgs),
    /// Send votes from a file: CSV, JSON Lines or an election (JSON, BLT, ABIF, PrefLib)
    Import(import::ImportArgs),
    /// Write every vote of a poll to a file
    Export(export::ExportArgs),
    /// Count a poll anew from the ledger and compare
    Recount(recount::RecountArgs),
    /// Count an election file, without a server
    Count(Box<count::CountArgs>),
    /// Make and revoke API keys
    Key(key::KeyArgs),
    /// Bring a backup of a data directory up to date, also while a server uses it
    Backup(backup::BackupArgs),
    /// Make a data directory of a backup, as it was at any moment
    Restore(restore::RestoreArgs),
    /// Check a data directory, while no server uses it, and say what was found
    Doctor(doctor::DoctorArgs),
    /// Carry everything from a data directory to DynamoDB, or back
    Migrate(migrate::MigrateArgs),
    /// Make the tables in DynamoDB, and say what they cost
    Dynamodb(Box<dynamodb::DynamoDbArgs>),
    /// Check or print the configuration
    Config(config::ConfigArgs),
    /// Print a script that completes commands in a shell
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write one for each command
    Man(man::ManArgs),
}

/// How a client command reaches the server, and how it prints.
#[derive(Clone, Debug, Args)]
pub(crate) struct Access {
    /// The server's address [default: http://127.0.0.1:8080]
    #[arg(long, env = "CANVASS_SERVER", value_name = "URL", hide_env_values = true, help_heading = "Server")]
    server: Option<String>,
    /// The API key
    #[arg(long, env = "CANVASS_KEY", value_name = "SECRET", hide_env_values = true, help_heading = "Server")]
    key: Option<String>,
    /// The configuration file, whose table `client` may hold `server` and `key` [default: canvass.toml]
    #[arg(
        long,
        env = "CANVASS_CONFIG",
        value_name = "FILE",
        hide_env_values = true,
        help_heading = "Server"
    )]
    config: Option<std::path::PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Access {
    /// A client for the server that is meant.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let file = crate::config::read_file(self.config.as_deref())?.client.unwrap_or_default();
        let ClientFile { server, key } = file;
        let server = self.server.clone().or(server);
        Client::new(server.as_deref().unwrap_or("http://127.0.0.1:8080"), self.key.clone().or(key))
    }
}
