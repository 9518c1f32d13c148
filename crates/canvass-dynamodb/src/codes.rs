//! One-time codes. The code is the voter, and a lot is never changed once it counts, so a look at the lot before the
//! vote is written is enough: the vote's own condition uses the code up, and no transaction is needed.

use std::collections::BTreeMap;

use canvass_domain::{
    code::{CodeHash, Codes},
    poll::Access,
};
use canvass_store::StoreError;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    client::{Failed, Item},
    engine::{ALL, Engine},
    items::{Head, PollKey, blob, bytes, damaged, key, text},
    limits::{CODES_ITEM_MAX, CODES_WRITTEN_AT_ONCE_MAX},
    polls::lot_sort,
    tables::SORT,
};

impl Engine {
    /// Writes a lot's hashes twice: by their first bytes, to find one, and in their order, to read them all.
    pub(crate) async fn write_codes(
        &self,
        poll: &PollKey,
        lot: &str,
        hashes: &[CodeHash],
    ) -> Result<(), StoreError> {
        let mut by_first: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        for hash in hashes {
            by_first.entry(hash[0]).or_default().extend_from_slice(hash);
        }
        let found = by_first.into_iter().map(|(first, hashes)| (key(poll.codes(first), lot), hashes));
        let listed = hashes
            .chunks(CODES_ITEM_MAX)
            .enumerate()
            .map(|(index, hashes)| (key(lot_partition(poll, lot), format!("{index:04}")), hashes.concat()));
        let items = found.chain(listed).map(|(mut item, hashes)| {
            item.insert("b".to_owned(), blob(hashes));
            Ok(item)
        });
        stream::iter(items)
            .try_for_each_concurrent(CODES_WRITTEN_AT_ONCE_MAX, |item| self.put_plain(item))
            .await
    }

    /// Writes an item of the main table, whatever was there.
    pub(crate) async fn put_plain(&self, item: Item) -> Result<(), StoreError> {
        let request = self.clients.tables.put_item().table_name(&self.names.main).set_item(Some(item));
        self.clients.ask(|| request.clone().send()).await.map(|_| ()).map_err(Failed::into_store_error)
    }

    /// Of all the poll's codes the one that is asked for, if it is one of them.
    pub(crate) async fn codes_with(&self, head: &Head, code: Option<&CodeHash>) -> Result<Codes, StoreError> {
        let mut codes = Codes::default();
        let Some(code) = code.filter(|_| head.poll.access == Access::Code) else { return Ok(codes) };
        let lots = self.query(&self.names.main, head.key.codes(code[0]), ALL).await?;
        for lot in &lots {
            if !bytes(lot, "b")?.chunks_exact(code.len()).any(|known| known == code) {
                continue;
            }
            let marker = self.get(&self.names.main, head.key.events(), lot_sort(text(lot, SORT)?)).await?;
            if marker.is_some() {
                codes.add(vec![*code]);
                break;
            }
        }
        Ok(codes)
    }

    /// A lot's hashes in their order.
    pub(crate) async fn lot(&self, poll: &PollKey, lot: &str) -> Result<Vec<CodeHash>, StoreError> {
        let items = self.query(&self.names.main, lot_partition(poll, lot), ALL).await?;
        let hashes = stream::iter(items).map(|item| {
            let hash = |chunk: &[u8]| chunk.try_into().map_err(|_| damaged(&item, "a lot of codes"));
            bytes(&item, "b")?.chunks(size_of::<CodeHash>()).map(hash).collect::<Result<Vec<_>, _>>()
        });
        hashes.try_concat().await
    }
}

fn lot_partition(poll: &PollKey, lot: &str) -> String {
    format!("lot#{poll}#{lot}")
}
