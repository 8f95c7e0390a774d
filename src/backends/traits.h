#pragma once

#include <cstddef>

namespace reprise::backends {

/// What pieces of a graph cost an engine. The planner reads it.
struct PieceTraits {
    /// What a piece's start and the barrier around it cost, in FLOPs.
    double launch_flops = 3e7;
    /// Pieces to aim at; more only where no legal merge is left. Measured: many small compiled pieces hold
    /// more threads and scratch memory.
    int max_segments = 32;
    /// When all distinct executions, compiled as a whole, hold at most this many bytes of weights, each is
    /// one piece: nothing is stitched together, at the price of weights held more than once.
    double variant_bytes = 256e6;
    /// And when there are no more than these, since each has its code.
    std::size_t max_variants = 6;
    /// Pieces with more bytes of weights are divided, because pieces compile at the same time.
    double piece_bytes = 1.5e9;
    /// Whether pieces with the same weights hold them once. Whole executions then cost code only.
    bool shares_weights = false;
};

/// What is to be known of an engine on a device. The numbers here are OpenVINO's on CPUs. The reference
/// backend has the same, so that plans are the same on both.
struct Traits {
    /// Whether values are tensors of the host's, which may be looked at without waiting or copying.
    bool host_memory = true;
    PieceTraits pieces = {};
    /// Compilations of the process at the same time, where there are as many cores. Engines compile mostly on
    /// one thread, and what they need meanwhile is needed for each.
    std::size_t compiles_at_once = 4;
    /// Bytes of weights up to which compiling a model twice costs less than the better way of running it can
    /// win back.
    double cheap_bytes = 3e8;
    /// Bytes of weights up to which they may be held twice, by two ways of cutting a model.
    double held_twice_bytes = 1e9;
    /// Bytes of weights of an encoder that are compiled, run and freed at a time, where it has more.
    double part_bytes = 8e8;
    /// Scratch memory below this is kept between runs, in bytes: freeing and having it again takes some 5 ms
    /// (785 operations), which is more than it is worth.
    double kept_scratch_bytes = 64e6;
};

}  // namespace reprise::backends
