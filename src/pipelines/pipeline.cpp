#include "reprise/pipeline.h"

#include "cachify/policies.h"
#include "files/json.h"
#include "pipelines/policy_view.h"
#include "pipelines/registry.h"
#include "reprise/cachify.h"
#include "reprise/error.h"

namespace reprise {

Pipeline::Pipeline(std::unique_ptr<pipelines::DiffusionPipeline> implementation)
    : implementation_(std::move(implementation)) {}
Pipeline::Pipeline(Pipeline&&) noexcept = default;
Pipeline& Pipeline::operator=(Pipeline&&) noexcept = default;
Pipeline::~Pipeline() = default;

Pipeline Pipeline::from_pretrained(const std::filesystem::path& folder, const LoadOptions& options) {
    return Pipeline(pipelines::open_pipeline(folder, options));
}

GenerateOutput Pipeline::operator()(const GenerateOptions& options) const {
    return (*implementation_)(options);
}

PromptEmbeddings Pipeline::encode_prompt(const GenerateOptions& options) const {
    return implementation_->encode_prompt(options);
}

const std::string& Pipeline::class_name() const {
    return implementation_->folder().class_name();
}

RunReport Pipeline::last_report() const {
    return implementation_->last_report();
}

namespace cachify {

namespace {

/// Calls `make` with what policies may look at of a pipeline, for a call with these options.
template <class Make>
Config for_pipeline(const Pipeline& pipe, const Make& make, const GenerateOptions& run = {}) {
    return make(pipelines::PolicyView(pipe.implementation(), run).context());
}

pipelines::Preparation& prepared(Pipeline& pipe, const char* what) {
    auto& preparation = pipe.implementation().denoiser().preparation;
    if (!preparation) usage_error("{} needs a pipeline that was prepared: call cachify::prepare first", what);
    return *preparation;
}

}  // namespace

namespace {

void prepare_for(pipelines::DiffusionPipeline& pipe, const pipelines::DiffusionPipeline::Outlook& ahead,
                 Config config, Count count) {
    auto& denoiser = pipe.denoiser();
    const auto before = std::move(denoiser.preparation);
    denoiser.preparation = pipelines::Preparation{std::move(config), count, true};
    denoiser.advise_anew();
    try {  // a plan shows whether the configuration makes sense
        denoiser.plan(ahead.shape, ahead.evaluations, true);
    } catch (...) {
        denoiser.preparation = before;
        throw;
    }
}

}  // namespace

void prepare(Pipeline& pipe, int num_inference_steps, Config config, Count count) {
    auto& implementation = pipe.implementation();
    GenerateOptions run;
    run.num_inference_steps = num_inference_steps;
    prepare_for(implementation, implementation.any_outlook(run), std::move(config), count);
}

void prepare(Pipeline& pipe, const GenerateOptions& run, Config config, Count count) {
    auto& implementation = pipe.implementation();
    prepare_for(implementation, implementation.outlook(run), std::move(config), count);
}

Config deep_cache(const Pipeline& pipe, const DeepCacheOptions& options) {
    return for_pipeline(pipe, [&](const PolicyContext& context) { return deep_cache(context, options); });
}
Config attention_broadcast(const Pipeline& pipe, const AttentionBroadcastOptions& options) {
    return for_pipeline(pipe,
                        [&](const PolicyContext& context) { return attention_broadcast(context, options); });
}
Config dual_block_cache(const Pipeline& pipe, const DualBlockCacheOptions& options) {
    return for_pipeline(pipe,
                        [&](const PolicyContext& context) { return dual_block_cache(context, options); });
}
Config mag_cache(const Pipeline& pipe, const Profile& profile, const MagCacheOptions& options) {
    return for_pipeline(pipe,
                        [&](const PolicyContext& context) { return mag_cache(context, profile, options); });
}
Config tea_cache(const Pipeline& pipe, const Profile& profile, const TeaCacheOptions& options) {
    return for_pipeline(pipe,
                        [&](const PolicyContext& context) { return tea_cache(context, profile, options); });
}
Config make_policy(const Pipeline& pipe, std::string_view text) {
    return make_policy(pipe, text, {});
}
Config make_policy(const Pipeline& pipe, std::string_view text, const GenerateOptions& run) {
    return for_pipeline(
        pipe, [&](const PolicyContext& context) { return make_policy(context, text); }, run);
}

Config load_config(const Pipeline& pipe, const std::string& path) {
    return for_pipeline(pipe, [&](const PolicyContext& context) {
        return parse_config(read_text_file(path), path, context);
    });
}

void prepare_nothing(Pipeline& pipe) {
    auto& denoiser = pipe.implementation().denoiser();
    denoiser.preparation.emplace();
    denoiser.preparation->is_nothing_by_choice = true;
}

void prepare(Pipeline& pipe, int num_inference_steps) {
    GenerateOptions run;
    run.num_inference_steps = num_inference_steps;
    Config config = make_policy(pipe, "auto", run);
    if (config.empty())
        prepare_nothing(pipe);
    else
        prepare(pipe, num_inference_steps, std::move(config));
}

void enable(Pipeline& pipe) {
    prepared(pipe, "enable").enabled = true;
}
void disable(Pipeline& pipe) {
    prepared(pipe, "disable").enabled = false;
}
void unprepare(Pipeline& pipe) {
    pipe.implementation().denoiser().preparation.reset();
}
void reset_status(Pipeline& pipe) {
    pipe.implementation().forget_report();
}

infer::infer(Pipeline& pipe) : pipe_(pipe) {
    enable(pipe_);
}
infer::~infer() {
    auto& preparation = pipe_.implementation().denoiser().preparation;
    if (preparation) preparation->enabled = false;
    reset_status(pipe_);
}

}  // namespace cachify
}  // namespace reprise
