#include "pipelines/prompt_embeddings.h"

#include <algorithm>
#include <array>

#include "core/finite.h"
#include "files/json.h"
#include "files/safetensors.h"
#include "reprise/error.h"

namespace reprise {

namespace {

constexpr auto kTensors = std::to_array<pipelines::NamedEmbedding>({
    {"prompt_embeds", &PromptEmbeddings::prompt_embeds},
    {"negative_prompt_embeds", &PromptEmbeddings::negative_prompt_embeds},
    {"pooled_prompt_embeds", &PromptEmbeddings::pooled_prompt_embeds},
    {"negative_pooled_prompt_embeds", &PromptEmbeddings::negative_pooled_prompt_embeds},
    {"prompt_attention_mask", &PromptEmbeddings::prompt_attention_mask},
    {"negative_prompt_attention_mask", &PromptEmbeddings::negative_prompt_attention_mask},
});
// In the file's metadata: {"prompts": [...]}.
constexpr const char *kEncoded = "encoded", *kPrompts = "prompts";

/// A tensor of a file as f32 in memory of its own; masks are often whole numbers or truth values.
Tensor as_floats(const Tensor& tensor, const std::string& name, const std::string& file) {
    if (is_floating(tensor.type())) return tensor.to(DType::f32).clone();
    Tensor result(DType::f32, tensor.shape());
    const auto copy = [&](const auto& values) {
        std::transform(values.begin(), values.end(), result.span<float>().begin(),
                       [](auto value) { return static_cast<float>(value); });
    };
    switch (tensor.type()) {
        case DType::i64:
            copy(tensor.span<std::int64_t>());
            break;
        case DType::i32:
            copy(tensor.span<std::int32_t>());
            break;
        case DType::u8:
        case DType::boolean:
            copy(tensor.span<std::uint8_t>());
            break;
        default:
            usage_error("{}: tensor \"{}\" holds {}, expected numbers", file, name, name_of(tensor.type()));
    }
    return result;
}

}  // namespace

PromptEmbeddings load_embeddings(const std::filesystem::path& path) {
    const SafetensorsFile file(path);
    PromptEmbeddings result;
    for (const std::string& name : file.names()) {
        const auto known =
            std::find_if(kTensors.begin(), kTensors.end(), [&](const auto& n) { return name == n.name; });
        if (known == kTensors.end())
            usage_error(
                "{}: it has a tensor \"{}\"; expected a prompt's embeddings alone: prompt_embeds, "
                "negative_prompt_embeds and the like",
                file.name(), name);
        result.*known->tensor = as_floats(*file.find(name), name, file.name());
    }
    if (!result.prompt_embeds.defined())
        usage_error("{}: no tensor \"prompt_embeds\" in it; expected (prompts, tokens, width)", file.name());
    if (const auto found = file.metadata().find(kEncoded); found != file.metadata().end())
        result.prompts =
            require<std::vector<std::string>>(parse_json(found->second, file.name()), kPrompts, file.name());
    return result;
}

void save_embeddings(const PromptEmbeddings& embeddings, const std::filesystem::path& path) {
    std::vector<std::pair<std::string, Tensor>> tensors;
    for (const auto& each : kTensors)
        if ((embeddings.*each.tensor).defined()) tensors.emplace_back(each.name, embeddings.*each.tensor);
    Metadata metadata;
    if (!embeddings.prompts.empty()) metadata[kEncoded] = text_of(Json{{kPrompts, embeddings.prompts}});
    write_safetensors(path, tensors, metadata);
}

namespace pipelines {

std::span<const NamedEmbedding> named_embeddings() {
    return kTensors;
}

namespace {

/// Usage error unless a tensor is there, or is not, as wanted, and has this shape.
void check_tensor(const char* name, const Tensor& tensor, bool wanted, const Shape& shape) {
    if (!wanted && tensor.defined()) usage_error("{} is given, but this model takes none", name);
    if (wanted && !tensor.defined()) usage_error("{} is not given, but this model needs it", name);
    if (wanted && tensor.shape() != shape)
        usage_error("{} has shape {}, expected {}", name, to_string(tensor.shape()), to_string(shape));
    if (wanted && tensor.type() != DType::f32)
        usage_error("{} holds {}, expected f32", name, name_of(tensor.type()));
    if (wanted && !is_finite(tensor)) usage_error("{} has values that are not finite", name);
}

}  // namespace

void check_embeddings(const PromptEmbeddings& embeddings, const models::DenoiserTraits& traits,
                      bool guidance) {
    const Tensor& prompts = embeddings.prompt_embeds;
    if (!prompts.defined() || prompts.rank() != 3 || prompts.dim(0) < 1 || prompts.dim(1) < 1 ||
        prompts.dim(2) != traits.text_width)
        usage_error("prompt_embeds has shape {}, expected (prompts, tokens, {})",
                    prompts.defined() ? to_string(prompts.shape()) : "()", traits.text_width);
    const Shape& shape = prompts.shape();
    const Shape pooled = {shape[0], traits.pooled_width}, mask = {shape[0], shape[1]};
    check_tensor("prompt_embeds", prompts, true, shape);
    check_tensor("pooled_prompt_embeds", embeddings.pooled_prompt_embeds, traits.pooled_width > 0, pooled);
    check_tensor("prompt_attention_mask", embeddings.prompt_attention_mask, traits.takes_mask, mask);
    if (!guidance) return;
    check_tensor("negative_prompt_embeds", embeddings.negative_prompt_embeds, true, shape);
    check_tensor("negative_pooled_prompt_embeds", embeddings.negative_pooled_prompt_embeds,
                 traits.pooled_width > 0, pooled);
    check_tensor("negative_prompt_attention_mask", embeddings.negative_prompt_attention_mask,
                 traits.takes_mask, mask);
}

void check_no_texts(const GenerateOptions& options) {
    const auto refuse = [](bool given, const char* name) {
        if (given) usage_error("{} is given beside a prompt's embeddings, which say it already", name);
    };
    refuse(!options.prompt.empty() || !options.prompts.empty(), "a prompt");
    refuse(options.prompt_2 || options.prompt_3, "another prompt");
    refuse(options.negative_prompt || options.negative_prompt_2 || options.negative_prompt_3,
           "a negative prompt");
    refuse(options.clip_skip.has_value(), "clip_skip");
    refuse(options.max_sequence_length.has_value(), "max_sequence_length");
    refuse(!options.clean_caption, "clean_caption");
}

std::vector<Branches> branches_of(const PromptEmbeddings& embeddings, bool guidance) {
    const auto row = [](const Tensor& tensor, std::int64_t prompt) {
        return tensor.defined() ? tensor.rows(prompt, prompt + 1) : Tensor();
    };
    std::vector<Branches> result;
    for (std::int64_t prompt = 0; prompt < embeddings.prompt_embeds.dim(0); ++prompt) {
        Branches& halves = result.emplace_back();
        if (guidance)
            halves.push_back({row(embeddings.negative_prompt_embeds, prompt),
                              row(embeddings.negative_prompt_attention_mask, prompt),
                              row(embeddings.negative_pooled_prompt_embeds, prompt),
                              {},
                              {}});
        halves.push_back({row(embeddings.prompt_embeds, prompt),
                          row(embeddings.prompt_attention_mask, prompt),
                          row(embeddings.pooled_prompt_embeds, prompt),
                          {},
                          {}});
    }
    return result;
}

PromptEmbeddings embeddings_of(const std::vector<Branches>& prompts) {
    const auto together = [&](std::size_t half, Tensor models::Conditioning::*part) -> Tensor {
        const Tensor& first = prompts.front()[half].*part;
        if (!first.defined()) return {};
        Shape shape = first.shape();
        shape[0] = static_cast<std::int64_t>(prompts.size());
        Tensor result(DType::f32, shape);
        auto out = result.span<float>().begin();
        for (const auto& halves : prompts) {
            const auto values = (halves[half].*part).span<float>();
            out = std::copy(values.begin(), values.end(), out);
        }
        return result;
    };
    using models::Conditioning;
    return {together(1, &Conditioning::encoder_hidden_states),
            together(0, &Conditioning::encoder_hidden_states),
            together(1, &Conditioning::text_embeds),
            together(0, &Conditioning::text_embeds),
            together(1, &Conditioning::attention_mask),
            together(0, &Conditioning::attention_mask),
            {}};
}

}  // namespace pipelines
}  // namespace reprise
