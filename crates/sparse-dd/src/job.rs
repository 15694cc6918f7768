//! One copy, from its arguments to its report: the main path.

use crate::args::Args;
use crate::destination::Destination;
use crate::plan::Plan;
use crate::report::{self, Meter};
use crate::{Error, Source, copy};

/// Does it. When there is an error, there is no copy, or the error says what there is.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    let source = Source::open(&args.source, args.size)?;
    let (mut destination, dirt) = Destination::open(&args, &source)?;
    let base = args
        .base
        .as_deref()
        .map(|path| Source::base(path, &destination))
        .transpose()?;
    let plan = Plan::new(&source, dirt, base.as_ref());
    let mut meter = Meter::start(args.machine, args.progress, plan.work())?;
    let size = copy::run(
        &source,
        &mut destination,
        base.as_ref(),
        &plan,
        args.sparse_block,
        &mut meter,
    )
    .and_then(|size| destination.finish(size).map(|()| size))
    .map_err(|error| destination.abandon(error))?;
    meter.finish()?;
    if !args.quiet {
        report::statistics(meter.elapsed(), &source, &destination);
    }
    if args.json {
        report::json(size, meter.elapsed(), &source, &destination)?;
    }
    source.check_unchanged()?;
    base.iter().try_for_each(Source::check_unchanged)
}
