#include "capi/options.h"

#include <array>

#include "capi/option_rows.h"
#include "pipelines/prompt_embeddings.h"

namespace reprise::capi {

namespace {

template <class E>
struct Named {
    std::string_view name;
    E value;
};

/// The value of this name. Error (usage) with all names for another.
template <class E, std::size_t N>
E by_name(const std::array<Named<E>, N>& names, const Json& object, const std::string& key) {
    const auto text = require<std::string>(object, key, kOrigin);
    std::string expected;
    for (const auto& [name, value] : names) {
        if (name == text) return value;
        (expected += expected.empty() ? "" : ", ") += name;
    }
    usage_error("{}: \"{}\" is \"{}\", expected one of {}", kOrigin, key, printable(text), expected);
}

constexpr auto kGuidanceModes = std::to_array<Named<GuidanceMode>>(
    {{"auto", GuidanceMode::automatic}, {"batched", GuidanceMode::batched}, {"split", GuidanceMode::split}});
constexpr auto kFits = std::to_array<Named<Fit>>(
    {{"stretch", Fit::stretch}, {"crop", Fit::crop}, {"letterbox", Fit::letterbox}});
constexpr auto kPrecisions =
    std::to_array<Named<DType>>({{"f32", DType::f32}, {"bf16", DType::bf16}, {"f16", DType::f16}});

constexpr auto kPromptTexts = std::to_array<Row<PromptTexts>>({
    row<PromptTexts, &PromptTexts::prompt_2>("prompt_texts.prompt_2"),
    row<PromptTexts, &PromptTexts::prompt_3>("prompt_texts.prompt_3"),
    row<PromptTexts, &PromptTexts::negative_prompt>("prompt_texts.negative_prompt"),
    row<PromptTexts, &PromptTexts::negative_prompt_2>("prompt_texts.negative_prompt_2"),
    row<PromptTexts, &PromptTexts::negative_prompt_3>("prompt_texts.negative_prompt_3"),
});

constexpr auto kLoadOptions = std::to_array<Row<LoadOptions>>({
    row<LoadOptions, &LoadOptions::backend>("backend"),
    row<LoadOptions, &LoadOptions::device>("device"),
    row<LoadOptions, &LoadOptions::precision>("precision"),
    row<LoadOptions, &LoadOptions::vae_precision>("vae_precision"),
    row<LoadOptions, &LoadOptions::threads>("threads"),
    row<LoadOptions, &LoadOptions::variant>("variant"),
    row<LoadOptions, &LoadOptions::memory_limit>("memory_limit"),
    row<LoadOptions, &LoadOptions::text_encoders>("text_encoders"),
});

template <auto... Path>
constexpr Row<GenerateOptions> option(std::string_view name, std::string_view probe = {}) {
    return row<GenerateOptions, Path...>(name, probe);
}
template <auto Member>
constexpr Row<GenerateOptions> video(std::string_view name, std::string_view probe) {
    return option<&GenerateOptions::video, Member>(name, probe);
}

using Options = GenerateOptions;
constexpr auto kCallOptions = std::to_array<Row<GenerateOptions>>({
    option<&Options::prompt>("prompt", R"({"prompt": "a"})"),
    option<&Options::prompts>("prompts", R"({"prompts": ["a"]})"),
    option<&Options::prompt_2>("prompt_2", R"({"prompt_2": "a"})"),
    option<&Options::prompt_3>("prompt_3", R"({"prompt_3": "a"})"),
    option<&Options::negative_prompt>("negative_prompt", R"({"negative_prompt": "a"})"),
    option<&Options::negative_prompt_2>("negative_prompt_2", R"({"negative_prompt_2": "a"})"),
    option<&Options::negative_prompt_3>("negative_prompt_3", R"({"negative_prompt_3": "a"})"),
    option<&Options::prompt_texts>("prompt_texts", R"({"prompts": ["a"], "prompt_texts": [{}]})"),
    option<&Options::num_inference_steps>("num_inference_steps"),
    option<&Options::guidance_scale>("guidance_scale", R"({"guidance_scale": 1.5})"),
    option<&Options::guidance_rescale>("guidance_rescale", R"({"guidance_rescale": 0.5})"),
    option<&Options::skip_guidance_layers>("skip_guidance_layers", R"({"skip_guidance_layers": [0]})"),
    option<&Options::width>("width"),
    option<&Options::height>("height"),
    option<&Options::seed>("seed"),
    option<&Options::num_images_per_prompt>("num_images_per_prompt"),
    option<&Options::clip_skip>("clip_skip", R"({"clip_skip": 0})"),
    option<&Options::max_sequence_length>("max_sequence_length", R"({"max_sequence_length": 16})"),
    option<&Options::clean_caption>("clean_caption", R"({"clean_caption": false})"),
    option<&Options::use_resolution_binning>("use_resolution_binning",
                                             R"({"use_resolution_binning": false})"),
    option<&Options::original_size>("original_size", R"({"original_size": [64, 64]})"),
    option<&Options::crops_coords_top_left>("crops_coords_top_left", R"({"crops_coords_top_left": [1, 1]})"),
    option<&Options::target_size>("target_size", R"({"target_size": [64, 64]})"),
    option<&Options::scheduler>("scheduler"),
    option<&Options::guidance_mode>("guidance_mode"),
    option<&Options::denoising_start>("denoising_start", R"({"denoising_start": 0.5})"),
    option<&Options::denoising_end>("denoising_end", R"({"denoising_end": 0.5})"),
    option<&Options::aesthetic_score>("aesthetic_score", R"({"aesthetic_score": 5})"),
    option<&Options::negative_aesthetic_score>("negative_aesthetic_score",
                                               R"({"negative_aesthetic_score": 2})"),
    option<&Options::decode>("decode"),
    video<&AnimateOptions::num_frames>("video.num_frames", R"({"video": {"num_frames": 2}})"),
    video<&AnimateOptions::fps>("video.fps", R"({"video": {"fps": 8}})"),
    video<&AnimateOptions::motion_bucket_id>("video.motion_bucket_id",
                                             R"({"video": {"motion_bucket_id": 1}})"),
    video<&AnimateOptions::noise_aug_strength>("video.noise_aug_strength",
                                               R"({"video": {"noise_aug_strength": 0.1}})"),
    video<&AnimateOptions::min_guidance_scale>("video.min_guidance_scale",
                                               R"({"video": {"min_guidance_scale": 1.5}})"),
    video<&AnimateOptions::max_guidance_scale>("video.max_guidance_scale",
                                               R"({"video": {"max_guidance_scale": 2}})"),
    video<&AnimateOptions::decode_chunk_size>("video.decode_chunk_size",
                                              R"({"video": {"decode_chunk_size": 1}})"),
    video<&AnimateOptions::fit>("video.fit", R"({"video": {"fit": "crop"}})"),
    option<&Options::reuse>("reuse"),
});

}  // namespace

void read(std::uint64_t& member, const Json& object, const std::string& key) {
    const Json& value = object.at(key);
    if (!value.is_number_unsigned())
        usage_error("{}: \"{}\" is {}, expected an integer from 0 on", kOrigin, key,
                    printable(text_of(value)));
    member = value.get<std::uint64_t>();
}

void read(std::pair<int, int>& member, const Json& object, const std::string& key) {
    const auto values = require<std::vector<int>>(object, key, kOrigin);
    if (values.size() != 2) usage_error("{}: \"{}\" has {} numbers, expected 2", kOrigin, key, values.size());
    member = {values[0], values[1]};
}

void read(GuidanceMode& member, const Json& object, const std::string& key) {
    member = by_name(kGuidanceModes, object, key);
}
void read(Fit& member, const Json& object, const std::string& key) {
    member = by_name(kFits, object, key);
}
void read(DType& member, const Json& object, const std::string& key) {
    member = by_name(kPrecisions, object, key);
}

void read(Reuse& member, const Json& object, const std::string& key) {
    const Json& value = object.at(key);
    if (value.is_string()) {
        member = value.get<std::string>();
    } else if (value.is_array()) {
        member = cachify::parse_config(text_of(value), "the option \"reuse\"");
    } else if (value.is_object() && value.size() == 1 && value.contains("of") && value["of"].is_object()) {
        member = Reuse();
        for (const auto& [denoiser, own] : value["of"].items())
            read(member.of[denoiser], value["of"], denoiser);
    } else {
        usage_error(
            "{}: \"{}\" is {}, expected a policy, \"off\", a configuration as a list, or these by denoiser: "
            "{{\"of\": {{\"unet\": ...}}}}",
            kOrigin, key, printable(text_of(value)));
    }
}

void read(std::vector<PromptTexts>& member, const Json& object, const std::string& key) {
    member.clear();
    const Json& list = object.at(key);
    if (!list.is_array())
        usage_error("{}: \"{}\" is {}, expected a list of objects", kOrigin, key, printable(text_of(list)));
    for (const Json& texts : list) read_object<PromptTexts>(member.emplace_back(), kPromptTexts, texts, key);
}

void add_call_options(GenerateOptions& options, std::string_view json) {
    read_object<GenerateOptions>(options, kCallOptions, parse_json(json, kOrigin));
}

LoadOptions parse_load_options(std::string_view json) {
    LoadOptions options;
    read_object<LoadOptions>(options, kLoadOptions, parse_json(json, kOrigin));
    return options;
}

std::vector<OptionProbe> option_probes() {
    std::vector<OptionProbe> probes;
    for (const auto& each : kCallOptions) probes.push_back({each.name, each.probe});
    return probes;
}

void attach(GenerateOptions& options, std::string_view name, Image image) {
    if (name != "image") usage_error("no picture has the name \"{}\"; expected \"image\"", printable(name));
    options.image = std::move(image);
}

void attach(GenerateOptions& options, std::string_view name, Tensor tensor) {
    if (name == "latents") {
        options.latents = std::move(tensor);
        return;
    }
    if (name == "start_latents") {
        options.start_latents = std::move(tensor);
        return;
    }
    std::string expected = "latents, start_latents";
    for (const auto& each : pipelines::named_embeddings()) {
        if (name == each.name) {
            if (!options.embeddings) options.embeddings.emplace();
            (*options.embeddings).*each.tensor = std::move(tensor);
            return;
        }
        expected += std::string(", ") + each.name;
    }
    usage_error("no tensor has the name \"{}\"; expected one of {}", printable(name), expected);
}

}  // namespace reprise::capi
