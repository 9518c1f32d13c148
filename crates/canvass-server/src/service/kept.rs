//! What the server itself remembers from start to start, as settings.

use canvass_domain::record::Setting;
use canvass_store::StoreError;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    app::App,
    service::{Failure, devices::hexadecimal},
};

impl App {
    /// Keeps a value under a name, in place of the one before.
    pub(crate) async fn keep<T: Serialize>(&self, name: &str, value: &T) -> Result<(), Failure> {
        let json = serde_json::to_vec(value).expect("plain data can be written");
        self.put(name, hexadecimal(&json)).await
    }

    /// Keeps nothing under a name any more.
    pub(crate) async fn forget(&self, name: &str) -> Result<(), Failure> {
        self.put(name, String::new()).await
    }

    async fn put(&self, name: &str, value: String) -> Result<(), Failure> {
        let setting = Setting { name: name.to_owned(), value };
        self.store().put_setting(setting).await.map_err(|error| self.failed(error))
    }

    /// The value under a name; none where none was kept.
    pub(crate) async fn kept<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let text = self.store().read_setting(name).await?;
        let damaged = || StoreError::Corrupt(format!("the setting {name}"));
        text.map(|text| read(&text).ok_or_else(damaged)).transpose()
    }
}

/// What hexadecimal digits hold.
fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> =
        pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect();
    serde_json::from_slice(&bytes?).ok()
}
