//! Whatever is pushed comes back the same, wherever it comes to lie.

use canvass_ledger::testing::SimulatedDisk;
use proptest::{collection::vec, prelude::*};

use crate::support::{Input, append, check_contents, open, read_all};

fn any_record() -> impl Strategy<Value = Input> {
    let body = prop_oneof![vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..900), vec(Just(0), 0..1500)];
    let salted = vec(any::<u8>(), 0..700).prop_map(|rest| [b"salt0123".to_vec(), rest].concat());
    (any::<u8>(), body, prop_oneof![Just(vec![]), salted])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn what_is_pushed_is_read(batches in vec(vec(any_record(), 1..6), 1..12), reopen_every in 1_usize..5) {
        let disk = SimulatedDisk::new(1);
        let (mut ledger, _) = open(&disk).unwrap();
        let mut expected = Vec::new();
        for (number, batch) in batches.iter().enumerate() {
            expected.extend(append(&mut ledger, batch));
            if number % reopen_every == 0 {
                drop(ledger);
                disk.lose_power();
                ledger = check_contents(&disk, &expected).0;
            }
        }
        prop_assert_eq!(read_all(&ledger.reader()).unwrap(), expected);
    }
}
