//! Exports: in which formats, and how voters are named.

use std::sync::atomic::Ordering;

use canvass_counting::formats::Written;
use canvass_domain::PollId;
use canvass_export::{Export, ExportError, Format, Voters};
use canvass_store::StoreError;

use crate::{app::App, service::Failure};

/// What an export is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExportFormat {
    /// Vote by vote, with the voters.
    Votes(Format),
    /// The ballots alone, as an election file.
    Election(Written),
}

impl ExportFormat {
    /// The format by its name.
    pub(crate) fn read(name: &str) -> Result<Self, Failure> {
        match name {
            "csv" => Ok(Self::Votes(Format::Csv)),
            "jsonl" => Ok(Self::Votes(Format::JsonLines)),
            "json" => Ok(Self::Votes(Format::Json)),
            "xlsx" => Ok(Self::Votes(Format::Xlsx)),
            "parquet" => Ok(Self::Votes(Format::Parquet)),
            "election" => Ok(Self::Election(Written::Json)),
            "blt" => Ok(Self::Election(Written::Blt)),
            "abif" => Ok(Self::Election(Written::Abif)),
            _ => Err(Failure::FormatNotOffered),
        }
    }
}

impl App {
    /// Begins an export of the votes that count now.
    pub(crate) async fn export(
        &self,
        poll: &PollId,
        format: Format,
        voters: Voters,
    ) -> Result<Export, Failure> {
        self.parts.metrics.exports_asked.fetch_add(1, Ordering::Relaxed);
        Export::begin(self.store(), poll, format, voters).await.map_err(|error| match error {
            ExportError::Store(error) => self.failed(error),
            ExportError::Write(text) => self.failed(StoreError::Corrupt(text)),
        })
    }

    /// How voters are named, by the word for it: `given` (if absent), `pseudonyms` or `omitted`.
    pub(crate) async fn voters(&self, word: Option<&str>) -> Result<Voters, Failure> {
        match word {
            None | Some("given") => Ok(Voters::Given),
            Some("pseudonyms") => {
                Voters::pseudonyms(self.store(), self.random()).await.map_err(|error| self.failed(error))
            }
            Some("omitted") => Ok(Voters::Omitted),
            Some(_) => Err(Failure::invalid("voters", "write given, pseudonyms or omitted")),
        }
    }
}
