//! What is done to which range: the copy as a list of steps in order of their offsets.

use crate::Source;
use blkcore::{Extent, ExtentList};

/// One step. Ranges that no step names are zero (or equal) on both sides already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Read the source; write what is not zero, and clear zeros where the destination is dirty.
    Copy(Extent),
    /// A hole of the source where the destination is dirty.
    Clear(Extent),
    /// Read the source and the base; write or clear the blocks that differ.
    Compare(Extent),
}

impl Step {
    fn range(self) -> Extent {
        match self {
            Step::Copy(range) | Step::Clear(range) | Step::Compare(range) => range,
        }
    }
}

/// The steps of one copy.
#[derive(Debug)]
pub(crate) struct Plan {
    steps: Vec<Step>,
    dirt: ExtentList,
    work: Option<u64>,
}

impl Plan {
    /// For a destination that holds zeros outside of `dirt`, or where there is a base, what the
    /// base holds as far as that reaches.
    pub(crate) fn new(source: &Source, dirt: ExtentList, base: Option<&Source>) -> Plan {
        let data = source.data();
        let based = base.and_then(|base| Some((base.size()?, base.data())));
        let (equal_below, compare) = match based {
            Some((len, base_data)) => (len, data.union(base_data)),
            None => (0, ExtentList::new()),
        };
        let size = source.size().unwrap_or(u64::MAX);
        let beyond = ExtentList::full(size).difference(&ExtentList::full(equal_below));
        let compare = compare.clip(equal_below.min(size));
        let copy = data.intersection(&beyond);
        let clear = dirt.intersection(&beyond).difference(data);
        let mut steps: Vec<Step> = compare.iter().map(Step::Compare).collect();
        steps.extend(copy.iter().map(Step::Copy));
        steps.extend(clear.iter().map(Step::Clear));
        steps.sort_unstable_by_key(|step| step.range().start);
        let work = source
            .size()
            .map(|_| steps.iter().map(|step| step.range().len()).sum());
        Plan { steps, dirt, work }
    }

    pub(crate) fn steps(&self) -> impl Iterator<Item = Step> {
        self.steps.iter().copied()
    }

    /// Where the destination may hold anything but zeros.
    pub(crate) fn dirt(&self) -> &ExtentList {
        &self.dirt
    }

    /// Bytes of all steps; `None` for a stream that is read to its end.
    pub(crate) fn work(&self) -> Option<u64> {
        self.work
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn list(ranges: &[std::ops::Range<u64>]) -> ExtentList {
        ranges.iter().map(|r| Extent::from(r.clone())).collect()
    }

    fn source(size: u64, ranges: &[std::ops::Range<u64>]) -> Source {
        let file = std::fs::File::open("/dev/null").unwrap();
        Source::with_map(Path::new("x"), file, size, list(ranges))
    }

    fn steps(source: &Source, dirt: ExtentList, base: Option<&Source>) -> Vec<Step> {
        Plan::new(source, dirt, base).steps().collect()
    }

    #[test]
    fn holes_are_cleared_only_where_there_is_dirt() {
        let source = source(100, &[10..20, 50..60]);
        let copies = [Step::Copy((10..20).into()), Step::Copy((50..60).into())];
        assert_eq!(steps(&source, list(&[]), None), copies);
        let dirty = steps(&source, list(&[15..30, 90..200]), None);
        let clears = [Step::Clear((20..30).into()), Step::Clear((90..100).into())];
        assert_eq!(dirty, [copies[0], clears[0], copies[1], clears[1]]);
    }

    #[test]
    fn a_base_is_compared_as_far_as_it_reaches() {
        let source = source(100, &[0..10, 70..90]);
        let base = self::source(80, &[20..25, 25..30]);
        let got = steps(&source, ExtentList::full(100), Some(&base));
        let want = [
            Step::Compare((0..10).into()),
            Step::Compare((20..30).into()),
            Step::Compare((70..80).into()),
            Step::Copy((80..90).into()),
            Step::Clear((90..100).into()),
        ];
        assert_eq!(got, want);
    }
}
