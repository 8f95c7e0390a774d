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
    return implementation_->source()->class_name();
}

RunReport Pipeline::last_report() const {
    return implementation_->last_report();
}

namespace cachify {

namespace {

/// Calls `make` with what policies may look at of a pipeline, for a call with these options.
template <class Make>
Config for_pipeline(const Pipeline& pipe, const Make& make, const GenerateOptions& run = {}) {
    GenerateOptions heard = run;
    heard.on_message = pipe.implementation().hears(run);
    return make(pipelines::PolicyView(pipe.implementation(), heard).context());
}

/// Replaces what is prepared by the same, run in full or not. Whether anything is prepared.
bool set_in_full(Pipeline& pipe, bool in_full) {
    const auto before = pipe.implementation().default_reuse();
    if (!before) return false;
    auto after = std::make_shared<Reuse>(*before);
    after->in_full = in_full;
    pipe.implementation().set_default_reuse(std::move(after));
    return true;
}

[[noreturn]] void refuse_unprepared(const char* what) {
    usage_error("{} needs a pipeline that was prepared: call cachify::prepare first", what);
}

void prepare_for(pipelines::DiffusionPipeline& pipe, GenerateOptions run,
                 const pipelines::DiffusionPipeline::Outlook& ahead) {
    pipe.forget_messages();
    for (std::size_t stage = 0; stage < ahead.stages.size(); ++stage)  // shows whether it makes sense
        pipe.denoiser(ahead.stages[stage].denoiser).plan(pipe.request(run, ahead, stage));
    pipe.set_default_reuse(std::make_shared<const Reuse>(std::move(*run.reuse)));
}

}  // namespace

void prepare(Pipeline& pipe, int num_inference_steps, Config config, Count count) {
    auto& implementation = pipe.implementation();
    GenerateOptions run;
    run.num_inference_steps = num_inference_steps;
    run.reuse = Reuse(std::move(config), count);
    prepare_for(implementation, run, implementation.any_outlook(run));
}

void prepare(Pipeline& pipe, const GenerateOptions& run, Config config, Count count) {
    GenerateOptions with_reuse = run;
    with_reuse.reuse = Reuse(std::move(config), count);
    prepare(pipe, with_reuse);
}

void prepare(Pipeline& pipe, const GenerateOptions& run) {
    if (!run.reuse) usage_error("prepare needs something to reuse: the options say nothing of it");
    auto& implementation = pipe.implementation();
    prepare_for(implementation, run, implementation.outlook(run));
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

void prepare(Pipeline& pipe, int num_inference_steps) {
    GenerateOptions run;
    run.num_inference_steps = num_inference_steps;
    Config config = make_policy(pipe, "auto", run);
    if (config.empty())
        pipe.implementation().set_default_reuse(std::make_shared<const Reuse>());
    else
        prepare(pipe, num_inference_steps, std::move(config));
}

void enable(Pipeline& pipe) {
    if (!set_in_full(pipe, false)) refuse_unprepared("enable");
}
void disable(Pipeline& pipe) {
    if (!set_in_full(pipe, true)) refuse_unprepared("disable");
}
void unprepare(Pipeline& pipe) {
    pipe.implementation().set_default_reuse(nullptr);
}
void reset_status(Pipeline& pipe) {
    pipe.implementation().forget_report();
}

infer::infer(Pipeline& pipe) : pipe_(pipe) {
    enable(pipe_);
}
infer::~infer() {
    set_in_full(pipe_, true);  // it may be unprepared by now
    reset_status(pipe_);
}

}  // namespace cachify
}  // namespace reprise
