#include "capi/honours.h"

#include "capi/options.h"
#include "pipelines/diffusion_pipeline.h"
#include "pipelines/prompt_embeddings.h"
#include "reprise/error.h"

namespace reprise::capi {

namespace {

bool takes(const Pipeline& pipe, const GenerateOptions& options) {
    try {
        check_options(pipe, options);
        return true;
    } catch (const Error& refusal) {
        if (refusal.kind() != ErrorKind::usage) throw;
        return false;
    }
}

/// Embeddings of one prompt, of the tensors that the denoiser takes.
PromptEmbeddings some_embeddings(const models::Denoiser& denoiser) {
    PromptEmbeddings result;
    const auto tensor = [](Shape shape) { return Tensor(DType::f32, std::move(shape)); };
    constexpr std::int64_t kTokens = 1;
    result.prompt_embeds = tensor({1, kTokens, denoiser.width_of(models::kText)});
    result.negative_prompt_embeds = result.prompt_embeds;
    if (const auto width = denoiser.width_of(models::kPooledText); width > 0)
        result.pooled_prompt_embeds = tensor({1, width});
    result.negative_pooled_prompt_embeds = result.pooled_prompt_embeds;
    if (denoiser.takes(models::kTextMask)) result.prompt_attention_mask = tensor({1, kTokens});
    result.negative_prompt_attention_mask = result.prompt_attention_mask;
    return result;
}

/// Options that the pipeline takes, to which one at a time is added.
GenerateOptions accepted_options(const Pipeline& pipe, const PromptEmbeddings& embeddings) {
    constexpr int kSide = 512;  // for models that do not say which size they were trained for
    GenerateOptions options;
    if (!pipe.implementation().load_options().text_encoders) options.embeddings = embeddings;
    if (!takes(pipe, options)) options.width = options.height = kSide;
    check_options(pipe, options);
    return options;
}

}  // namespace

void check_options(const Pipeline& pipe, const GenerateOptions& options) {
    pipe.implementation().outlook(options);
}

std::vector<std::string> honoured_options(const Pipeline& pipe) {
    const auto embeddings = some_embeddings(pipe.implementation().denoiser().model());
    const GenerateOptions accepted = accepted_options(pipe, embeddings);
    std::vector<std::string> names;
    for (const auto& [name, json] : option_probes()) {
        GenerateOptions options = accepted;
        if (!json.empty()) add_call_options(options, json);
        if (takes(pipe, options)) names.emplace_back(name);
    }

    GenerateOptions options = accepted;
    constexpr int kSide = 8;
    options.image = Image(kSide, kSide);
    if (takes(pipe, options)) names.emplace_back("image");
    names.emplace_back("latents");
    options = accepted;
    options.embeddings = embeddings;
    if (!takes(pipe, options)) return names;
    for (const auto& each : pipelines::named_embeddings())
        if ((embeddings.*each.tensor).defined()) names.emplace_back(each.name);
    return names;
}

}  // namespace reprise::capi
