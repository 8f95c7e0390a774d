#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "reprise/cachify.h"
#include "reprise/pipeline.h"
#include "reprise/profile.h"
#include "tune/search.h"

namespace reprise::tune {

/// Results of a schedule beside the full ones of the same pair.
struct Likeness {
    double distance = 0;  ///< of final latents, relative
    double ssim = 0;
    double psnr = 0;  ///< in dB; not infinite for equal pictures
};

/// What is tuned: a denoiser with a sampler and pairs of prompt and seed. A library's own pipeline is one, a
/// pipeline that PyTorch runs may be another: what goes in and out are names, numbers and configurations. The
/// pairs that are tuned on come first, `num_pairs` of them; as many are held out.
class Subject : public Runner {
  public:
    /// The denoiser's class in diffusers.
    virtual const std::string& class_name() const = 0;
    /// Its modules, for one half of one picture: what ladders and configurations are made from.
    virtual const graph::Graph& structure() const = 0;
    virtual cachify::DenoiserIdentity identity() const = 0;
    /// How it runs, with the prompts and seeds of the pairs that are tuned on.
    virtual cachify::MeasuredRun run() const = 0;
    /// What else measurements depend on. A state of another fingerprint is refused.
    virtual std::string fingerprint() const = 0;
    /// Whether there are two halves of guidance, and whether they may be one batch.
    virtual bool has_guidance() const = 0;
    virtual bool may_batch() const = 0;
    /// Whether it is cheap to make ready for few modes at a time. Of a large one each is compiled once.
    virtual bool is_small() const = 0;

    enum class Pairs { tuned, held_out };
    /// Makes these modes ready, the first of which is a full step, for the first so many of these pairs.
    /// What was ready before no longer is.
    virtual void use(const std::vector<cachify::Config>& modes, GuidanceMode guidance, std::size_t pairs,
                     Pairs which = Pairs::tuned) = 0;
    /// Frees what `use` made ready, which may be gigabytes: until the next `use` nothing runs.
    virtual void release() = 0;

    /// Runs the first pair with every second step in that mode; adds the seconds of each full step and of
    /// each in the mode.
    virtual void seconds(int mode, std::vector<double>& full, std::vector<double>& in_mode) = 0;
    /// How far a schedule's result of a pair is from the full one. Of those held out, the first is number
    /// `num_pairs`.
    virtual Likeness likeness(std::size_t pair, const Modes& modes) = 0;
    /// How much faster the denoiser's steps are with a configuration, by turns with the full ones.
    virtual double speedup(const cachify::Config& config) = 0;
};

}  // namespace reprise::tune
