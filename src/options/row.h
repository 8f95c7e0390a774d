#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "files/json.h"

namespace reprise::options {

/// What an option needs of a pipeline to have a meaning. Each pipeline says which of these it has.
enum class About : std::uint8_t {
    call,          ///< any pipeline
    texts,         ///< text encoders
    second_text,   ///< a second one
    third_text,    ///< a third one
    clip_layers,   ///< a CLIP text encoder
    t5_tokens,     ///< a T5 text encoder
    captions,      ///< captions that are tidied
    embeddings,    ///< prompts as embeddings
    guidance,      ///< one guidance scale for all that is drawn
    third_branch,  ///< guidance with a branch that leaves layers out
    parts,         ///< a part of the way from noise to picture
    size_ids,      ///< a denoiser that takes sizes and crops as conditions
    target_size,   ///< a denoiser that takes the size to be drawn as a condition
    score,         ///< a denoiser that takes an aesthetic score as a condition
    bins,          ///< a choice between sizes that the model was trained for
    video,         ///< frames, made of a picture
    load,          ///< the options that a pipeline is opened with
};

/// Where the command lists an option.
enum class Group : std::uint8_t { none, model, prompt, animation, sampling };

/// What JSON an option is.
enum class Type : std::uint8_t {
    boolean,
    integer,
    number,
    text,
    integers,  ///< a list
    texts,     ///< a list
    pair,      ///< two integers
    objects,   ///< a list of objects, with rows of their own
    reuse,     ///< a policy as text, or a configuration
    attached,  ///< a picture or tensors: read as what they are, set by other means
    callback,  ///< a function: read as whether there is one
};

/// What an option may be, within its type.
struct Domain {
    double least = -std::numeric_limits<float>::max(), most = std::numeric_limits<float>::max();
    std::vector<std::string> (*names)() = nullptr;  ///< of a text: the values that there are
    bool others = false;                            ///< others than `names` are not refused here

    /// Whether a limit is one: the largest of f32 is none.
    static bool is_limit(double limit) { return std::abs(limit) < std::numeric_limits<float>::max(); }
};

/// What an option counts for.
enum Counts : std::uint8_t {
    kNothing = 0,
    kMetadata = 1,     ///< it stands in the metadata of what was made
    kFingerprint = 2,  ///< measurements depend on it
    kResult = kMetadata | kFingerprint,
};

/// An option: a member of a struct of options, or of a struct within it ("video.fps"). A table of rows is all
/// that a consumer needs: JSON, the command's flags and help, Python's keywords, checks, and metadata.
struct Row {
    std::string_view name;
    About about = About::call;
    Counts counts = kNothing;
    Domain domain = {};
    Group group = Group::none;
    std::string_view flag = {};         ///< of the command, such as "--fps"; empty: it has none
    std::string_view placeholder = {};  ///< for the flag's value, in the command's help
    std::string_view help = {};         ///< the same
    Type type = Type::callback;         ///< this and what follows is made by `row`
    bool optional = false;              ///< null is a value
    bool wide = false;                  ///< an integer of 64 bits
    Json (*get)(const void* owner) = nullptr;
    /// Sets the member. Usage error for another type, or a value outside of the domain, which begins with
    /// `origin`. Null for what is attached and for callbacks.
    void (*set)(void* owner, const Json& value, const Row& row, std::string_view origin) = nullptr;
};

/// The rows of one struct, and such a struct as it is where nobody says otherwise.
struct Table {
    std::span<const Row> rows;
    const void* defaults = nullptr;

    /// The row of this name, or null.
    const Row* find(std::string_view name) const;
    /// Whether the option is another than it is by default.
    bool differs(const Row& row, const void* owner) const;
};

const Table& generate_options();      ///< of GenerateOptions
const Table& load_options();          ///< of LoadOptions
const Table& prompt_texts_options();  ///< of PromptTexts

/// "an integer from 1 to 1000", "one of auto, batched, split".
std::string expected(const Row& row);
/// Whether the value is of the row's type and domain.
bool is_value(const Json& value, const Row& row);
/// Usage error unless the value is of the row's type and domain.
void check_value(const Json& value, const Row& row, std::string_view origin = {});
/// The same for each option of an owner that is another than by default.
void check_values(const Table& table, const void* owner);

/// Sets what a JSON object has: "video.fps", or "fps" of its object "video", is the row "video.fps". Usage
/// error that begins with `origin` and names what is wrong. `where`: of rows whose names begin with it, what
/// follows is read. `counts`: only options that count for this are known.
void read(const Table& table, void* owner, const Json& object, std::string_view origin,
          const std::string& where = {}, Counts counts = kNothing);
/// The options that differ from their default and count for what is asked, as `read` takes them; without
/// what is attached and callbacks.
Json write(const Table& table, const void* owner, Counts counts);

}  // namespace reprise::options
