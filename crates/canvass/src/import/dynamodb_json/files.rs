//! The files in which DynamoDB tells a table's items: those of an export to S3, with its manifest, or what
//! `aws dynamodb scan` prints.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Deserializer;

use super::Item;
use crate::failure::Failure;

/// What an export's folder has beside its data: a line for each file of it.
const MANIFEST: &str = "manifest-files.json";
const DATA: &str = "data";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestLine {
    item_count: u64,
    #[serde(rename = "dataFileS3Key")]
    key: String,
}

/// One of the values in a file: an export has an item a line, a scan has many in one.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Part {
    item: Option<Item>,
    items: Option<Vec<Item>>,
    /// Only exports of changes have it.
    keys: Option<IgnoredAny>,
}

/// Hands over each item of a folder or file.
pub(super) fn read(path: &Path, take: &mut dyn FnMut(Item)) -> Result<(), Failure> {
    if !path.is_dir() {
        return read_file(path, take).map(|_| ());
    }
    for (file, items) in listed(path)? {
        let found = read_file(&file, take)?;
        if found != items {
            return Err(wrong(&file, &format!("{found} items where the manifest has {items}")));
        }
    }
    Ok(())
}

/// The files that an export's manifest names, in its order, with how many items each has.
fn listed(folder: &Path) -> Result<Vec<(PathBuf, u64)>, Failure> {
    let manifest = folder.join(MANIFEST);
    let lines = File::open(&manifest).map_err(|error| {
        let advice = "give the folder of one export, AWSDynamoDB/…, as it was fetched from the bucket";
        wrong(&manifest, &format!("{error}; {advice}"))
    })?;
    let lines = Deserializer::from_reader(BufReader::new(lines)).into_iter();
    let mut files = Vec::new();
    for line in lines {
        let ManifestLine { item_count, key } = line.map_err(|error| wrong(&manifest, &error.to_string()))?;
        let name = Path::new(&key).file_name().ok_or_else(|| wrong(&manifest, "it names no file"))?;
        files.push((folder.join(DATA).join(name), item_count));
    }
    Ok(files)
}

fn read_file(path: &Path, take: &mut dyn FnMut(Item)) -> Result<u64, Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.contains(".ion") {
        return Err(wrong(path, "Amazon Ion; export again with the format DYNAMODB_JSON"));
    }
    let file = File::open(path).map_err(|error| Failure::file(path, &error))?;
    let text: Box<dyn Read> = if name.ends_with(".gz") {
        Box::new(MultiGzDecoder::new(BufReader::new(file)))
    } else {
        Box::new(file)
    };
    let mut items = 0;
    for part in Deserializer::from_reader(BufReader::new(text)).into_iter::<Part>() {
        let Part { item, items: many, keys } = part.map_err(|error| wrong(path, &error.to_string()))?;
        if item.is_none() && many.is_none() {
            let reason = match keys {
                Some(_) => "an export of changes; make a full one",
                None => "neither an export of DynamoDB's in its JSON nor what aws dynamodb scan prints",
            };
            return Err(wrong(path, reason));
        }
        for item in item.into_iter().chain(many.into_iter().flatten()) {
            take(item);
            items += 1;
        }
    }
    Ok(items)
}

fn wrong(path: &Path, reason: &str) -> Failure {
    Failure::failed(format!("{}: {reason}; nothing was sent", path.display()))
}
