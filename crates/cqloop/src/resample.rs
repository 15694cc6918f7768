//! Another rate for a whole recording, by rubato's synchronous FFT resampler.
//!
//! With a squared Blackman-Harris window what is folded back or mirrored lies some 150 dB down.

use rubato::audioadapter_buffers::owned::InterleavedOwned;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

/// Least frames of a block: the longer, the steeper the filter at the end of the band.
const BLOCK: u32 = 4096;

/// `samples` (interleaved) at `from` frames a second become those at `to`.
///
/// The length is that of the recording, to the next frame; no delay is added. The error is the
/// resampler's own text.
pub(crate) fn resample(
    samples: Vec<f64>,
    channels: usize,
    from: u32,
    to: u32,
) -> Result<Vec<f64>, String> {
    let frames = samples.len() / channels;
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut resampler = Fft::<f64>::new_custom(
        from as usize,
        to as usize,
        block(from, to) as usize,
        1,
        channels,
        WindowFunction::BlackmanHarris2,
        FixedSync::Both,
    )
    .map_err(|e| text(&e))?;
    let input = InterleavedOwned::new_from(samples, channels, frames).map_err(|e| text(&e))?;
    let output = resampler
        .process_all(&input, frames, None)
        .map_err(|e| text(&e))?;
    let mut output = output.take_data();
    let wanted = (frames as u64 * u64::from(to)).div_ceil(u64::from(from)) as usize;
    output.resize(wanted * channels, 0.0);
    Ok(output)
}

/// A block that is an even number of frames at both rates. The filter delays by half a block: of an odd
/// one, rubato could not take off the delay to the last half frame.
fn block(from: u32, to: u32) -> u32 {
    let (mut a, mut b) = (from, to);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    BLOCK.next_multiple_of(2 * (from / a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    /// A sine at the old rate must come out as the same sine at the new one.
    #[test]
    fn a_sine_stays_a_sine() {
        for (from, to) in [
            (8000, 48000),
            (16000, 44100),
            (22050, 48000),
            (44100, 48000),
            (48000, 8000),
            (96000, 44100),
            (44100, 11025),
            (11025, 32000),
        ] {
            let sine = |rate: u32| {
                let step = TAU * 1000.0 / f64::from(rate);
                (0..rate as usize * 2).map(move |n| 0.5 * (step * n as f64).sin())
            };
            let stereo = sine(from).flat_map(|v| [v, -v]).collect();
            let out = resample(stereo, 2, from, to).unwrap();
            assert_eq!(out.len(), to as usize * 4);
            // The ends ring: what comes before and after is silence.
            let worst = sine(to)
                .enumerate()
                .skip(to as usize / 4)
                .take(to as usize * 3 / 2)
                .map(|(n, want)| (out[2 * n] - want).abs().max((out[2 * n + 1] + want).abs()))
                .fold(0.0, f64::max);
            assert!(worst < 1e-5, "{from} to {to}: {worst:e}");
        }
    }

    #[test]
    fn the_shortest_recording() {
        assert_eq!(resample(vec![0.5], 1, 8000, 48000).unwrap().len(), 6);
        assert_eq!(resample(vec![0.5; 7], 1, 48000, 8000).unwrap().len(), 2);
    }
}
