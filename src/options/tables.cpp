// The tables. This is the only file in which rows are made: a consumer needs no types.
#include <array>
#include <tuple>
#include <type_traits>
#include <utility>

#include "backends/backend.h"
#include "cachify/policies.h"
#include "core/member.h"
#include "files/printable.h"
#include "options/names.h"
#include "options/row.h"
#include "reprise/error.h"
#include "schedulers/registry.h"

namespace reprise::options {

namespace {

/// What an optional is of, or the type itself.
template <class T>
struct Plain {
    using Type = T;
};
template <class T>
struct Plain<std::optional<T>> {
    using Type = T;
};
template <class T>
inline constexpr bool is_callback = std::is_same_v<T, std::stop_token>;
template <class F>
inline constexpr bool is_callback<std::function<F>> = true;

template <class T>
constexpr Type type_of() {
    if constexpr (is_callback<T>)
        return Type::callback;
    else if constexpr (std::is_same_v<T, bool>)
        return Type::boolean;
    else if constexpr (std::is_integral_v<T>)
        return Type::integer;
    else if constexpr (std::is_floating_point_v<T>)
        return Type::number;
    else if constexpr (std::is_enum_v<T> || std::is_same_v<T, std::string>)
        return Type::text;
    else if constexpr (std::is_same_v<T, std::vector<int>>)
        return Type::integers;
    else if constexpr (std::is_same_v<T, std::vector<std::string>>)
        return Type::texts;
    else if constexpr (std::is_same_v<T, std::pair<int, int>>)
        return Type::pair;
    else if constexpr (std::is_same_v<T, std::vector<PromptTexts>>)
        return Type::objects;
    else if constexpr (std::is_same_v<T, Reuse>)
        return Type::reuse;
    else if constexpr (std::is_same_v<T, Image> || std::is_same_v<T, Tensor> ||
                       std::is_same_v<T, PromptEmbeddings>)
        return Type::attached;
    else
        static_assert(sizeof(T) == 0, "a member of a type that no row can be of");
}

// What a member is as JSON.
template <class T>
Json to_value(const T& member) {
    if constexpr (is_callback<T>)
        return nullptr;
    else if constexpr (std::is_enum_v<T>)
        return name_of<T>(member);
    else
        return member;
}
Json to_value(const std::stop_token& member) {
    return member.stop_possible();
}
template <class F>
Json to_value(const std::function<F>& member) {
    return static_cast<bool>(member);
}
Json to_value(const Image& image) {
    if (image.empty()) return nullptr;
    return {{"width", image.width()}, {"height", image.height()}};
}
Json to_value(const Tensor& tensor) {
    if (!tensor.defined()) return nullptr;
    return to_string(tensor.shape());
}
Json to_value(const PromptEmbeddings& embeddings) {
    return to_string(embeddings.prompt_embeds.defined() ? embeddings.prompt_embeds.shape() : Shape());
}
Json to_value(const std::vector<PromptTexts>& list) {
    Json result = Json::array();
    constexpr std::string_view kWhere = "prompt_texts";
    for (const PromptTexts& texts : list) {
        const Json written = write(prompt_texts_options(), &texts, kMetadata);
        result.push_back(written.value(kWhere, Json::object()));
    }
    return result;
}
Json to_value(const Reuse& reuse) {
    Json what = "off";
    if (const auto* policy = std::get_if<std::string>(&reuse.what)) what = *policy;
    if (const auto* config = std::get_if<cachify::Config>(&reuse.what)) {
        try {
            what = Json::parse(cachify::to_json(*config));
        } catch (const Error&) {
            what = "a configuration with functions of the program's own";
        }
    }
    if (reuse.count == cachify::Count::steps && !reuse.in_full && reuse.of.empty()) return what;
    Json result = {{"what", what}, {"count", name_of(reuse.count)}, {"in_full", reuse.in_full}};
    for (const auto& [denoiser, own] : reuse.of) result["of"][denoiser] = to_value(own);
    return result;
}
template <class T>
Json to_value(const std::optional<T>& member) {
    return member ? to_value(*member) : Json();
}

// Sets a member from JSON of its type.
template <class T>
void from_value(T& member, const Json& value, std::string_view name, std::string_view /*origin*/) {
    if constexpr (std::is_enum_v<T>)
        member = value_of<T>(value.get_ref<const std::string&>(), name);
    else
        member = value.get<T>();
}
void from_value(std::vector<PromptTexts>& member, const Json& value, std::string_view name,
                std::string_view origin) {
    std::vector<PromptTexts> list;
    for (const Json& texts : value)
        read(prompt_texts_options(), &list.emplace_back(), texts, origin, std::string(name));
    member = std::move(list);
}
void from_value(Reuse& member, const Json& value, std::string_view name, std::string_view origin) {
    const std::string where = fmt::format("the option \"{}\"", name);
    if (value.is_string()) {
        member = value.get<std::string>();
    } else if (value.is_array()) {
        member = cachify::parse_config(text_of(value), where);
    } else {
        constexpr std::string_view kWhat = "what", kCount = "count", kInFull = "in_full", kOf = "of";
        for (const auto& [key, its] : value.items())
            if (key != kWhat && key != kCount && key != kInFull && key != kOf)
                usage_error(
                    "{}: \"{}\" has a key \"{}\", expected \"what\", \"count\", \"in_full\" or \"of\"",
                    origin, name, printable(key));
        const Json what = get_or<Json>(value, kWhat, "off", where);
        if (!what.is_string() && !what.is_array())
            usage_error("{}: \"{}\" is of {}, expected a policy or a list", origin, name,
                        printable(text_of(what)));
        Reuse reuse;
        from_value(reuse, what, name, origin);
        reuse.count = value_of<cachify::Count>(get_or(value, kCount, "steps", where), kCount);
        reuse.in_full = get_or(value, kInFull, false, where);
        const Json of = get_or<Json>(value, kOf, Json::object(), where);
        if (!of.is_object())
            usage_error("{}: \"{}\" is {} of several denoisers, expected an object by their names", origin,
                        name, printable(text_of(of)));
        for (const auto& [denoiser, own] : of.items()) {
            if (!own.is_string() && !own.is_array() && !own.is_object())
                usage_error("{}: \"{}\" is {} of \"{}\", expected a policy or a list", origin, name,
                            printable(text_of(own)), printable(denoiser));
            from_value(reuse.of[denoiser], own, name, origin);
        }
        member = std::move(reuse);
    }
}
template <class T>
void from_value(std::optional<T>& member, const Json& value, std::string_view name, std::string_view origin) {
    if (value.is_null())
        member.reset();
    else
        from_value(member.emplace(), value, name, origin);
}

template <class T>
std::vector<std::string> enum_names() {
    std::vector<std::string> names;
    for (const auto& each : names_of<T>()) names.emplace_back(each.name);
    return names;
}

/// The row of the member that this path of pointers to members leads to.
template <auto First, auto... Rest>
constexpr Row row(Row facts) {
    using O = typename OwnerOf<First>::Type;
    using Member = std::remove_reference_t<decltype(member_of<First, Rest...>(std::declval<O&>()))>;
    using T = typename Plain<Member>::Type;
    facts.type = type_of<T>();
    facts.optional = !std::is_same_v<T, Member>;
    facts.wide = sizeof(T) > sizeof(int);
    if constexpr (std::is_enum_v<T>) facts.domain.names = enum_names<T>;
    facts.get = [](const void* owner) -> Json {
        return to_value(member_of<First, Rest...>(*static_cast<const O*>(owner)));
    };
    if constexpr (type_of<T>() != Type::callback && type_of<T>() != Type::attached)
        facts.set = [](void* owner, const Json& value, const Row& row, std::string_view origin) {
            check_value(value, row, origin);
            from_value(member_of<First, Rest...>(*static_cast<O*>(owner)), value, row.name, origin);
        };
    return facts;
}

std::vector<std::string> scheduler_names() {
    std::vector<std::string> names;
    for (const auto& entry : schedulers()) names.emplace_back(entry.name);
    return names;
}

std::vector<std::string> reuse_names() {
    std::vector<std::string> names;
    for (const auto& policy : cachify::policies()) names.emplace_back(policy.name);
    names.emplace_back("off");
    return names;
}

constexpr Domain from(double least) {
    return {.least = least};
}
constexpr Domain between(double least, double most) {
    return {.least = least, .most = most};
}

using G = GenerateOptions;
using A = AnimateOptions;
using L = LoadOptions;
using P = PromptTexts;

constexpr auto kPromptTexts = std::to_array<Row>({
    row<&P::prompt_2>({.name = "prompt_texts.prompt_2", .about = About::second_text, .counts = kResult}),
    row<&P::prompt_3>({.name = "prompt_texts.prompt_3", .about = About::third_text, .counts = kResult}),
    row<&P::negative_prompt>(
        {.name = "prompt_texts.negative_prompt", .about = About::texts, .counts = kResult}),
    row<&P::negative_prompt_2>(
        {.name = "prompt_texts.negative_prompt_2", .about = About::second_text, .counts = kResult}),
    row<&P::negative_prompt_3>(
        {.name = "prompt_texts.negative_prompt_3", .about = About::third_text, .counts = kResult}),
});

constexpr Group kModel = Group::model, kPrompt = Group::prompt, kAnimation = Group::animation,
                kSampling = Group::sampling;

constexpr auto kLoad = std::to_array<Row>({
    row<&L::device>({.name = "device",
                     .about = About::load,
                     .counts = kResult,
                     .group = kModel,
                     .flag = "--device",
                     .help = "Device of the backend, such as CPU or GPU.0"}),
    row<&L::precision>({.name = "precision",
                        .about = About::load,
                        .counts = kResult,
                        .group = kModel,
                        .flag = "--precision",
                        .help = "Of the denoiser and text encoders; auto: bf16 where it is native and the "
                                "faster, else f32"}),
    row<&L::vae_precision>({.name = "vae_precision",
                            .about = About::load,
                            .counts = kResult,
                            .group = kModel,
                            .flag = "--vae-precision",
                            .help = "Of the autoencoder, likewise; what is not finite in 16 bits is done "
                                    "again in f32"}),
    row<&L::threads>({.name = "threads",
                      .about = About::load,
                      .counts = kResult,
                      .domain = between(0, 4096),
                      .group = kModel,
                      .flag = "--threads",
                      .placeholder = "N",
                      .help = "Worker threads; 0: one for each core"}),
    row<&L::variant>({.name = "variant",
                      .about = About::load,
                      .counts = kResult,
                      .group = kModel,
                      .flag = "--variant",
                      .help = "Of the weight files, such as fp16"}),
    row<&L::backend>({.name = "backend",
                      .about = About::load,
                      .counts = kResult,
                      .domain = {.names = backends::available, .others = true},
                      .group = kModel,
                      .flag = "--backend",
                      .help = "What computes"}),
    row<&L::memory_limit>({.name = "memory_limit", .about = About::load, .domain = between(0, 9e18)}),
    row<&L::keep_parameters_below>(
        {.name = "keep_parameters_below", .about = About::load, .domain = between(0, 9e18)}),
    row<&L::text_encoders>({.name = "text_encoders", .about = About::load, .counts = kMetadata}),
});

constexpr auto kGenerate = std::to_array<Row>({
    row<&G::prompt>({.name = "prompt", .about = About::texts, .counts = kResult}),
    row<&G::prompts>({.name = "prompts",
                      .about = About::texts,
                      .counts = kResult,
                      .group = kPrompt,
                      .flag = "--prompt",
                      .help = "What to draw; may be given again"}),
    row<&G::prompt_2>({.name = "prompt_2",
                       .about = About::second_text,
                       .counts = kResult,
                       .group = kPrompt,
                       .flag = "--prompt-2",
                       .help = "For the second text encoder (default: the prompt)"}),
    row<&G::prompt_3>({.name = "prompt_3",
                       .about = About::third_text,
                       .counts = kResult,
                       .group = kPrompt,
                       .flag = "--prompt-3",
                       .help = "For the third text encoder (default: the prompt)"}),
    row<&G::negative_prompt>({.name = "negative_prompt",
                              .about = About::texts,
                              .counts = kResult,
                              .group = kPrompt,
                              .flag = "--negative-prompt",
                              .help = "What to keep away from"}),
    row<&G::negative_prompt_2>({.name = "negative_prompt_2",
                                .about = About::second_text,
                                .counts = kResult,
                                .group = kPrompt,
                                .flag = "--negative-prompt-2",
                                .help = "The same for the second text encoder"}),
    row<&G::negative_prompt_3>({.name = "negative_prompt_3",
                                .about = About::third_text,
                                .counts = kResult,
                                .group = kPrompt,
                                .flag = "--negative-prompt-3",
                                .help = "The same for the third text encoder"}),
    row<&G::prompt_texts>({.name = "prompt_texts", .about = About::texts, .counts = kResult}),
    row<&G::embeddings>({.name = "embeddings", .about = About::embeddings, .counts = kResult}),
    row<&G::image>({.name = "image", .about = About::video, .counts = kResult}),
    row<&G::num_images_per_prompt>({.name = "num_images_per_prompt",
                                    .counts = kMetadata,
                                    .domain = between(1, 1'000'000),
                                    .group = kPrompt,
                                    .flag = "--images",
                                    .placeholder = "N",
                                    .help = "Pictures for each prompt"}),
    row<&G::only_picture>({.name = "only_picture", .counts = kMetadata, .domain = from(0)}),
    row<&G::clip_skip>({.name = "clip_skip",
                        .about = About::clip_layers,
                        .counts = kResult,
                        .domain = from(0),
                        .group = kPrompt,
                        .flag = "--clip-skip",
                        .placeholder = "N",
                        .help = "Layers of the text encoders to leave out"}),
    row<&G::max_sequence_length>({.name = "max_sequence_length",
                                  .about = About::t5_tokens,
                                  .counts = kResult,
                                  .domain = from(1),
                                  .group = kPrompt,
                                  .flag = "--max-sequence-length",
                                  .placeholder = "N",
                                  .help = "Tokens of a T5 text encoder (default: what diffusers has for the "
                                          "pipeline)"}),
    row<&G::clean_caption>({.name = "clean_caption",
                            .about = About::captions,
                            .counts = kResult,
                            .group = kPrompt,
                            .flag = "--no-clean-caption",
                            .help = "PixArt: take prompts as they are but for capitals, with their links "
                                    "and markup"}),
    row<&G::use_resolution_binning>(
        {.name = "use_resolution_binning",
         .about = About::bins,
         .counts = kResult,
         .group = kPrompt,
         .flag = "--no-resolution-binning",
         .help = "PixArt: draw at the size asked for, not at the nearest that it was trained for"}),
    row<&G::skip_guidance_layers>({.name = "skip_guidance_layers",
                                   .about = About::third_branch,
                                   .counts = kResult,
                                   .group = kPrompt,
                                   .flag = "--skip-guidance-layers",
                                   .placeholder = "N,...",
                                   .help = "Not supported: diffusers' guidance by leaving layers out"}),
    row<&G::original_size>({.name = "original_size", .about = About::size_ids, .counts = kResult}),
    row<&G::crops_coords_top_left>(
        {.name = "crops_coords_top_left", .about = About::size_ids, .counts = kResult}),
    row<&G::target_size>({.name = "target_size", .about = About::target_size, .counts = kResult}),
    row<&G::aesthetic_score>({.name = "aesthetic_score", .about = About::score, .counts = kResult}),
    row<&G::negative_aesthetic_score>(
        {.name = "negative_aesthetic_score", .about = About::score, .counts = kResult}),
    row<&G::start_latents>({.name = "start_latents", .about = About::parts, .counts = kResult}),
    row<&G::num_inference_steps>({.name = "num_inference_steps",
                                  .counts = kMetadata,
                                  .domain = between(1, 100'000),
                                  .group = kSampling,
                                  .flag = "--steps",
                                  .placeholder = "N",
                                  .help = "Denoising steps (default: what the model's folder says, or "
                                          "diffusers has for the pipeline)"}),
    row<&G::width>({.name = "width",
                    .counts = kMetadata,
                    .domain = from(0),
                    .group = kSampling,
                    .flag = "--width",
                    .placeholder = "N",
                    .help = "In pixels; 0: what the model was trained for"}),
    row<&G::height>({.name = "height",
                     .counts = kMetadata,
                     .domain = from(0),
                     .group = kSampling,
                     .flag = "--height",
                     .placeholder = "N",
                     .help = "In pixels; 0: what the model was trained for"}),
    row<&G::seed>({.name = "seed",
                   .counts = kMetadata,
                   .domain = from(0),
                   .group = kSampling,
                   .flag = "--seed",
                   .placeholder = "N",
                   .help = "The noise is PyTorch's for this seed"}),
    row<&G::scheduler>({.name = "scheduler",
                        .counts = kResult,
                        .domain = {.names = scheduler_names, .others = true},
                        .group = kSampling,
                        .flag = "--scheduler",
                        .placeholder = "NAME",
                        .help = "Sampling method (default: the model's own)"}),
    row<&G::guidance_mode>(
        {.name = "guidance_mode",
         .counts = kResult,
         .group = kSampling,
         .flag = "--guidance-mode",
         .help = "Both halves of guidance as one batch or as two passes; auto: the faster"}),
    row<&G::guidance_scale>({.name = "guidance_scale",
                             .about = About::guidance,
                             .counts = kMetadata,
                             .group = kSampling,
                             .flag = "--guidance",
                             .help =
                                 "Guidance scale; off at 1 and below (default: what diffusers has for the "
                                 "pipeline)"}),
    row<&G::guidance_rescale>({.name = "guidance_rescale",
                               .about = About::guidance,
                               .counts = kResult,
                               .domain = between(0, 1),
                               .group = kSampling,
                               .flag = "--guidance-rescale",
                               .help = "0 to 1: how much of guidance's contrast is taken back"}),
    row<&G::denoising_start>(
        {.name = "denoising_start", .about = About::parts, .counts = kResult, .domain = between(0, 1)}),
    row<&G::denoising_end>({.name = "denoising_end",
                            .about = About::parts,
                            .counts = kResult,
                            .domain = between(0, 1),
                            .group = kSampling,
                            .flag = "--denoising-end",
                            .placeholder = "SHARE",
                            .help = "Where the base ends and the refiner begins, between 0, which is "
                                    "noise, and 1"}),
    row<&G::video, &A::fit>({.name = "video.fit",
                             .about = About::video,
                             .counts = kResult,
                             .group = kAnimation,
                             .flag = "--fit",
                             .help = "How it comes to the video's size: stretched, cut off at the sides, or "
                                     "on black"}),
    row<&G::video, &A::num_frames>({.name = "video.num_frames",
                                    .about = About::video,
                                    .counts = kResult,
                                    .domain = between(0, 4096),
                                    .group = kAnimation,
                                    .flag = "--frames",
                                    .placeholder = "N",
                                    .help = "(default: what the model was trained for)"}),
    row<&G::video, &A::fps>({.name = "video.fps",
                             .about = About::video,
                             .counts = kResult,
                             .domain = between(1, 1000),
                             .group = kAnimation,
                             .flag = "--fps",
                             .placeholder = "N",
                             .help = "Frames a second, of the file and as the model is told"}),
    row<&G::video, &A::motion_bucket_id>({.name = "video.motion_bucket_id",
                                          .about = About::video,
                                          .counts = kResult,
                                          .domain = between(0, 1'000'000),
                                          .group = kAnimation,
                                          .flag = "--motion-bucket",
                                          .placeholder = "N",
                                          .help = "More is more motion"}),
    row<&G::video, &A::noise_aug_strength>({.name = "video.noise_aug_strength",
                                            .about = About::video,
                                            .counts = kResult,
                                            .domain = from(0),
                                            .group = kAnimation,
                                            .flag = "--noise-aug",
                                            .help = "Noise on the picture; more follows it less"}),
    row<&G::video, &A::min_guidance_scale>({.name = "video.min_guidance_scale",
                                            .about = About::video,
                                            .counts = kResult,
                                            .group = kAnimation,
                                            .flag = "--min-guidance",
                                            .help = "Guidance scale at the first frame"}),
    row<&G::video, &A::max_guidance_scale>({.name = "video.max_guidance_scale",
                                            .about = About::video,
                                            .counts = kResult,
                                            .group = kAnimation,
                                            .flag = "--max-guidance",
                                            .help = "At the last frame; guidance is off at 1 and below"}),
    row<&G::video, &A::decode_chunk_size>({.name = "video.decode_chunk_size",
                                           .about = About::video,
                                           .counts = kMetadata,
                                           .domain = from(0),
                                           .group = kAnimation,
                                           .flag = "--decode-chunk-size",
                                           .placeholder = "N",
                                           .help =
                                               "Frames decoded at once (default: all, or as many as memory "
                                               "allows)"}),
    row<&G::latents>({.name = "latents", .counts = kResult}),
    row<&G::decode>({.name = "decode"}),
    row<&G::reuse>({.name = "reuse", .counts = kMetadata, .domain = {.names = reuse_names, .others = true}}),
    row<&G::callback_on_step_end>({.name = "callback_on_step_end"}),
    row<&G::on_phase>({.name = "on_phase"}),
    row<&G::on_message>({.name = "on_message"}),
    row<&G::stop>({.name = "stop"}),
});

// A member without a row does not compile: a structure with one more has no such parts, and a table with one
// less has another count.
template <class... Members>
constexpr std::integral_constant<std::size_t, sizeof...(Members)> count(const Members&... /*members*/) {
    return {};
}
using MembersOfLoad = decltype([](const L& options) {
    const auto& [backend, device, precision, vae_precision, threads, variant, memory_limit,
                 keep_parameters_below, text_encoders] = options;
    return count(backend, device, precision, vae_precision, threads, variant, memory_limit,
                 keep_parameters_below, text_encoders);
}(std::declval<const L&>()));
using MembersOfTexts = decltype([](const P& texts) {
    const auto& [prompt_2, prompt_3, negative_prompt, negative_prompt_2, negative_prompt_3] = texts;
    return count(prompt_2, prompt_3, negative_prompt, negative_prompt_2, negative_prompt_3);
}(std::declval<const P&>()));
using MembersOfVideo = decltype([](const A& video) {
    const auto& [num_frames, fps, motion_bucket_id, noise_aug_strength, min_guidance_scale,
                 max_guidance_scale, decode_chunk_size, fit] = video;
    return count(num_frames, fps, motion_bucket_id, noise_aug_strength, min_guidance_scale,
                 max_guidance_scale, decode_chunk_size, fit);
}(std::declval<const A&>()));
using MembersOfGenerate = decltype([](const G& options) {
    const auto& [prompt, prompts, prompt_2, prompt_3, negative_prompt, negative_prompt_2, negative_prompt_3,
                 prompt_texts, embeddings, image, video, num_inference_steps, guidance_scale,
                 guidance_rescale, skip_guidance_layers, width, height, seed, num_images_per_prompt,
                 only_picture, clip_skip, max_sequence_length, clean_caption, use_resolution_binning,
                 original_size, crops_coords_top_left, target_size, scheduler, guidance_mode, latents,
                 denoising_start, denoising_end, start_latents, aesthetic_score, negative_aesthetic_score,
                 decode, reuse, callback_on_step_end, on_phase, on_message, stop] = options;
    return count(prompt, prompts, prompt_2, prompt_3, negative_prompt, negative_prompt_2, negative_prompt_3,
                 prompt_texts, embeddings, image, video, num_inference_steps, guidance_scale,
                 guidance_rescale, skip_guidance_layers, width, height, seed, num_images_per_prompt,
                 only_picture, clip_skip, max_sequence_length, clean_caption, use_resolution_binning,
                 original_size, crops_coords_top_left, target_size, scheduler, guidance_mode, latents,
                 denoising_start, denoising_end, start_latents, aesthetic_score, negative_aesthetic_score,
                 decode, reuse, callback_on_step_end, on_phase, on_message, stop);
}(std::declval<const G&>()));

/// How many rows are of members of the structure itself, or of the one within it.
constexpr std::size_t rows_of(std::span<const Row> rows, bool within) {
    std::size_t number = 0;
    for (const Row& row : rows) number += row.name.starts_with("video.") == within ? 1 : 0;
    return number;
}
static_assert(rows_of(kLoad, false) == MembersOfLoad::value);
static_assert(std::size(kPromptTexts) == MembersOfTexts::value);
static_assert(rows_of(kGenerate, true) == MembersOfVideo::value);
static_assert(rows_of(kGenerate, false) + 1 == MembersOfGenerate::value);  // and `video`

}  // namespace

const Table& generate_options() {
    static const GenerateOptions defaults;
    static const Table table = {kGenerate, &defaults};
    return table;
}

const Table& load_options() {
    static const LoadOptions defaults;
    static const Table table = {kLoad, &defaults};
    return table;
}

const Table& prompt_texts_options() {
    static const PromptTexts defaults;
    static const Table table = {kPromptTexts, &defaults};
    return table;
}

}  // namespace reprise::options
