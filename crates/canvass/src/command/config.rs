//! `canvass config`: checks the configuration, or prints it with its documentation.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::{
    config::{Row, ServerArgs, read_file},
    failure::Failure,
    output,
};

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check a configuration file, and name the line and column of what is wrong
    Check {
        /// The file [default: canvass.toml]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print every option of the server as it holds now, as a file that can be used
    Print {
        #[command(flatten)]
        server: Box<ServerArgs>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(args: ConfigArgs) -> Result<(), Failure> {
    match args.command {
        ConfigCommand::Check { file, json } => {
            let path = file.unwrap_or_else(|| PathBuf::from("canvass.toml"));
            read_file(Some(&path))?;
            if json {
                return Ok(output::json(&serde_json::json!({"file": path, "inOrder": true}))?);
            }
            Ok(output::line(format_args!("{} is in order", path.display()))?)
        }
        ConfigCommand::Print { server, json: true } => {
            let settings = server.settings()?;
            let values = settings.rows().into_iter().map(|row| (row.name, row.value)).collect();
            Ok(output::json(&Value::Object(values))?)
        }
        ConfigCommand::Print { server, json: false } => {
            for row in server.settings()?.rows() {
                output::line(entry(&row))?;
            }
            Ok(())
        }
    }
}

/// An option as it stands in a file. One that has no value, or whose value is not shown, is commented out.
fn entry(row: &Row) -> String {
    let Row { name, variable, documentation, default, .. } = row;
    let default = if default.is_empty() { String::new() } else { format!("; default {default}") };
    let value = match &row.value {
        Value::String(text) => toml::Value::String(text.clone()).to_string(),
        Value::Null => "\"\"".to_owned(),
        other => other.to_string(),
    };
    let is_shown = !row.value.is_null()
        && row.value.as_str().is_none_or(|text| !text.is_empty() && !text.starts_with('('));
    let mark = if is_shown { "" } else { "# " };
    format!("# {documentation}\n# --{name}, {variable}{default}\n{mark}{name} = {value}\n")
}
