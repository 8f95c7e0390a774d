#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/generator.h"
#include "files/model_source.h"
#include "options/row.h"
#include "pipelines/guided_denoiser.h"
#include "pipelines/stages.h"
#include "reprise/pipeline.h"
#include "reprise/profile.h"
#include "schedulers/scheduler.h"

namespace reprise::pipelines {

/// One of a pipeline's denoisers.
struct NamedDenoiser {
    std::string name;  ///< the component's: "unet", "transformer", "transformer_2"
    std::unique_ptr<GuidedDenoiser> denoiser;
    /// It runs at timesteps of at least this that none before it has; the last one at all others.
    double down_to = 0;
};

/// What a pipeline has beside its pictures' options: made once, by the registry.
struct PipelineParts {
    std::shared_ptr<const ModelSource> source;  ///< as loaded
    LoadOptions options;
    Engine engine;
    std::vector<NamedDenoiser> denoisers;  ///< at least one, of the noisiest evaluations first
    double default_guidance_scale = 5;
    int default_steps = 50;
    std::int64_t default_text_tokens = 77;
    bool structure_only = false;  ///< nothing will run
};

/// What all pipelines have: denoisers with guidance and reuse, a scheduler, and the loop over its steps.
/// Thread-safe: what differs between calls is in their options.
class DiffusionPipeline {
  public:
    explicit DiffusionPipeline(PipelineParts parts);
    DiffusionPipeline(const DiffusionPipeline&) = delete;
    DiffusionPipeline& operator=(const DiffusionPipeline&) = delete;
    virtual ~DiffusionPipeline() = default;

    /// Makes what the options ask for. With a watch, which looks at modules, nothing is reused.
    GenerateOutput operator()(const GenerateOptions& options, const Watch* watch = nullptr);

    /// What a call with these options would plan and evaluate, without weights being read. Usage error for
    /// what cannot be run.
    struct Outlook {
        RunShape shape;
        std::vector<Evaluation> evaluations;  ///< the sampler's
        std::vector<Stage> stages;            ///< what is made of them, and by which denoisers

        EvaluationRange range() const { return {stages.front().range.first, stages.back().range.end}; }
        /// Of the sampler, that are made wholly or in part.
        int num_steps() const {
            return evaluations[range().end - 1].step - evaluations[range().first].step + 1;
        }
    };
    Outlook outlook(const GenerateOptions& options) const;
    /// The denoiser's shape in such a call; `options` has its defaults. Usage error for sizes that it cannot
    /// have.
    virtual RunShape shape(const GenerateOptions& options) const = 0;
    /// A shape that the denoiser can have, whatever a call asks for: its modules are the same in all.
    RunShape any_shape() const;
    /// A denoiser's structure at such a shape, made once.
    const graph::Graph& structure(std::size_t which = 0) const;
    /// What such a call asks of a stage's denoiser, which counts its own evaluations and steps from 0: as
    /// `ahead` says, with what the options reuse.
    RunRequest request(const GenerateOptions& options, const Outlook& ahead, std::size_t stage = 0) const;

    /// What calls reuse that do not say: `cachify::prepare`'s, or null. A call reads it once.
    std::shared_ptr<const Reuse> default_reuse() const;
    void set_default_reuse(std::shared_ptr<const Reuse> reuse);
    /// What hears the messages of a call: the options' own, or the log, which has each once until something
    /// else is prepared.
    OnMessage hears(const GenerateOptions& options) const;
    void forget_messages() const;
    /// The same where a call's options are not all known yet: a size that the denoiser can have where neither
    /// they nor the folder say one, one evaluation a step where the folder's sampler is not supported.
    /// Nothing else is checked: it is for what depends on neither, such as which modules there are.
    Outlook any_outlook(const GenerateOptions& options) const;

    /// One prediction from the halves of guidance.
    using Guide = std::function<Tensor(const std::vector<Tensor>& halves)>;
    /// What a run of the denoiser starts from.
    struct Ingredients {
        GenerateOptions options;  ///< with defaults
        Outlook ahead;
        std::vector<Branches> pictures;
        Tensor noise;         ///< standard normal; undefined where it starts from latents
        Generator generator;  ///< of what noise is drawn further on
        Guide guide;
        std::unique_ptr<Scheduler> scheduler;
        Tensor latents = {};  ///< what it starts from, at the noise level of its first evaluation; or none

        /// A copy of those, or of the noise as the sampler's first latents.
        Tensor first_latents(const Sampler& sampler) const;
    };
    /// Encodes what the options ask for.
    virtual Ingredients ingredients(const GenerateOptions& options) const = 0;
    /// The picture, or the frames, of one row of final latents.
    virtual std::vector<Image> decode(const Tensor& latents, const GenerateOptions& options) const = 0;
    /// The embeddings of all prompts, and of what to keep away from. Usage error where there are no prompts.
    virtual PromptEmbeddings encode_prompt(const GenerateOptions& options) const = 0;

    /// Whether this pipeline has what such options are about.
    virtual bool honours(options::About about) const = 0;
    /// The options with this pipeline's number of steps and guidance scale where none are given.
    GenerateOptions with_defaults(GenerateOptions options) const;
    /// The one that the options name, or the folder's. Usage error for one that is not supported.
    std::unique_ptr<Scheduler> scheduler(const GenerateOptions& options) const;

    const std::shared_ptr<const ModelSource>& source() const { return parts_.source; }
    std::span<const NamedDenoiser> denoisers() const { return parts_.denoisers; }
    const GuidedDenoiser& denoiser(std::size_t which = 0) const { return *parts_.denoisers[which].denoiser; }
    const Engine& engine() const { return parts_.engine; }
    /// The engine in the autoencoder's precision.
    Engine vae_engine() const;
    const LoadOptions& load_options() const { return parts_.options; }
    /// What files that were found for a denoiser are told apart by.
    cachify::DenoiserIdentity identity(std::size_t which = 0) const;
    RunReport last_report() const;
    void forget_report();

  protected:
    std::int64_t default_text_tokens() const { return parts_.default_text_tokens; }
    /// Usage error for an option that this pipeline does not honour and that is not as it is by default.
    void refuse_unhonoured(const GenerateOptions& options) const;
    /// Usage error for values of options that this pipeline cannot have.
    virtual void check(const GenerateOptions& /*options*/) const {}
    /// What a run of all pictures starts from, or of the one that the options ask for alone.
    static Ingredients asked_of(Ingredients start);
    /// The latents that the options start from, checked, with a row for each of so many pictures.
    Tensor started(const GenerateOptions& options, const RunShape& shape, std::int64_t count) const;
    /// Standard normal noise for the latents of so many pictures: that which the options bring, checked, or
    /// the generator's.
    Tensor noise(const GenerateOptions& options, const RunShape& shape, std::int64_t count,
                 Generator& generator) const;

    static void phase(const GenerateOptions& options, std::string_view name) {
        if (options.on_phase) options.on_phase(name);
    }

  private:
    void check_part(const GenerateOptions& options) const;
    std::vector<Stage> stages(const std::vector<Evaluation>& evaluations, const DenoisingPart& part) const;
    /// The final latents, finite, with the report of how they were made.
    Tensor denoise(Ingredients& start, const Watch* watch, RunReport& report) const;
    void keep_report(const RunReport& report);

    PipelineParts parts_;
    struct MadeOnce {
        std::once_flag structure_made, identity_made;
        graph::Graph structure;
        cachify::DenoiserIdentity identity;
    };
    mutable std::vector<MadeOnce> made_;  ///< by denoiser
    mutable std::mutex mutex_;            ///< guards what follows
    std::shared_ptr<const Reuse> default_reuse_;
    mutable std::set<std::string> logged_;
    RunReport last_report_;
};

/// Seconds since a moment.
double seconds_since(std::chrono::steady_clock::time_point begin);

}  // namespace reprise::pipelines
