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
    {"prompt_embeds", &PromptEmbeddings::prompt_embeds, models::kText},
    {"negative_prompt_embeds", &PromptEmbeddings::negative_prompt_embeds, models::kText, true},
    {"pooled_prompt_embeds", &PromptEmbeddings::pooled_prompt_embeds, models::kPooledText},
    {"negative_pooled_prompt_embeds", &PromptEmbeddings::negative_pooled_prompt_embeds, models::kPooledText,
     true},
    {"prompt_attention_mask", &PromptEmbeddings::prompt_attention_mask, models::kTextMask},
    {"negative_prompt_attention_mask", &PromptEmbeddings::negative_prompt_attention_mask, models::kTextMask,
     true},
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
        const auto* known = pipelines::find_embedding(name);
        if (known == nullptr)
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

const NamedEmbedding* find_embedding(std::string_view name) {
    const auto found =
        std::find_if(kTensors.begin(), kTensors.end(), [&](const auto& each) { return name == each.name; });
    return found == kTensors.end() ? nullptr : &*found;
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

void check_embeddings(const PromptEmbeddings& embeddings, const models::Denoiser& denoiser, bool guidance) {
    const Tensor& prompts = embeddings.prompt_embeds;
    const std::int64_t width = denoiser.width_of(models::kText);
    if (!prompts.defined() || prompts.rank() != 3 || prompts.dim(0) < 1 || prompts.dim(1) < 1 ||
        prompts.dim(2) != width)
        usage_error("prompt_embeds has shape {}, expected (prompts, tokens, {})",
                    prompts.defined() ? to_string(prompts.shape()) : "()", width);
    models::DenoiserShape shape;
    shape.batch = prompts.dim(0);
    shape.text_tokens = prompts.dim(1);
    const auto inputs = denoiser.inputs(shape);
    for (const NamedEmbedding& known : kTensors) {
        if (known.is_negative && !guidance) continue;
        const auto input = std::find_if(inputs.begin(), inputs.end(),
                                        [&](const auto& each) { return each.name == known.input; });
        check_tensor(known.name, embeddings.*known.tensor, input != inputs.end(),
                     input != inputs.end() ? input->shape : Shape{});
    }
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
    const auto half_of = [&](bool is_negative, std::int64_t prompt) {
        models::Conditioning result;
        for (const NamedEmbedding& known : kTensors)
            if (const Tensor& tensor = embeddings.*known.tensor;
                known.is_negative == is_negative && tensor.defined())
                result[known.input] = tensor.rows(prompt, prompt + 1);
        return result;
    };
    std::vector<Branches> result;
    for (std::int64_t prompt = 0; prompt < embeddings.prompt_embeds.dim(0); ++prompt) {
        Branches& halves = result.emplace_back();
        if (guidance) halves.push_back(half_of(true, prompt));
        halves.push_back(half_of(false, prompt));
    }
    return result;
}

namespace {

/// Tensors of one row each, as rows of one. Usage error for texts of unlike lengths.
Tensor together(const std::vector<Tensor>& rows) {
    Shape shape = rows.front().shape();
    for (const Tensor& row : rows)
        if (row.shape() != shape)
            usage_error("the prompts have texts of {} and {} tokens; encode them one by one", shape[1],
                        row.dim(1));
    shape[0] = static_cast<std::int64_t>(rows.size());
    Tensor result(DType::f32, shape);
    auto out = result.span<float>().begin();
    for (const Tensor& row : rows) out = std::copy(row.span<float>().begin(), row.span<float>().end(), out);
    return result;
}

}  // namespace

PromptEmbeddings embeddings_of(const std::vector<Branches>& prompts) {
    PromptEmbeddings result;
    for (const NamedEmbedding& known : kTensors) {
        std::vector<Tensor> rows;
        for (const Branches& halves : prompts) {
            const auto& half = halves[known.is_negative ? 0 : 1];
            const auto found = half.find(known.input);
            if (found != half.end()) rows.push_back(found->second);
        }
        if (!rows.empty()) result.*known.tensor = together(rows);
    }
    return result;
}

}  // namespace pipelines
}  // namespace reprise
