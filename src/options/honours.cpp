#include "options/honours.h"

#include "files/printable.h"
#include "reprise/error.h"

namespace reprise::options {

namespace {

/// What a pipeline is or lacks that does not take an option about this.
std::string_view reason(About about, const Has& has) {
    switch (about) {
        case About::texts:
            return has(About::embeddings) ? "opened without text encoders, it takes prompts as embeddings"
                                          : "it draws from a picture and takes no prompts";
        case About::second_text:
            return "it has no second text encoder";
        case About::third_text:
            return "it has no third text encoder (T5)";
        case About::clip_layers:
            return "it has no CLIP text encoder";
        case About::t5_tokens:
            return "it has no T5 text encoder";
        case About::captions:
            return "it takes prompts as they are";
        case About::embeddings:
            return "it draws from a picture and takes no prompts";
        case About::guidance:
            return "its guidance rises over the frames: give min_guidance_scale and max_guidance_scale";
        case About::third_branch:
            return "guidance has no third branch that skips layers";
        case About::size_ids:
            return "its denoiser takes no sizes and crops as conditions";
        case About::parts:
            return "it always draws from noise to the picture";
        case About::target_size:
            return has(About::score) ? "its denoiser takes an aesthetic score in its place"
                                     : "its denoiser takes no sizes and crops as conditions";
        case About::score:
            return "its denoiser takes no aesthetic score as a condition";
        case About::bins:
            return "it always draws at the size asked for";
        case About::video:
            return "it draws from prompts, and no videos";
        case About::call:
        case About::load:
            break;
    }
    return "it has none";
}

void refuse_in(const Table& table, const void* owner, const void* plain, std::string_view class_name,
               const Has& has) {
    for (const Row& row : table.rows) {
        if (has(row.about) || !table.differs(row, owner)) continue;
        const Json value = row.get(owner);
        if (value == row.get(plain)) continue;
        const bool attached = row.type == Type::attached;
        usage_error("{} is {}, but {} does not take it: {}", row.name,
                    attached ? "given" : printable(text_of(value)), class_name, reason(row.about, has));
    }
}

}  // namespace

void refuse_unhonoured(const GenerateOptions& options, const GenerateOptions& plain,
                       std::string_view class_name, const Has& has) {
    refuse_in(generate_options(), &options, &plain, class_name, has);
    const Table& texts = prompt_texts_options();
    for (const PromptTexts& each : options.prompt_texts)
        refuse_in(texts, &each, texts.defaults, class_name, has);
}

}  // namespace reprise::options
