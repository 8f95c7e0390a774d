#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "options.h"
#include "reprise/image.h"
#include "session.h"

namespace reprise::app {

/// Files that a call was given beside its options: by the option that they are.
using Attachments = std::map<std::string, std::string, std::less<>>;

/// What pictures or a video were made with: written into each of them, and read again by --like.
class Metadata {
  public:
    /// Of a call that was made: `options` as it ran, with its defaults and what it reused.
    Metadata(const Session& session, const ModelOptions& model, const CacheOptions& cache,
             const GenerateOptions& options, const GenerateOutput& output, const Attachments& attachments);

    /// That a refiner made the picture of the call's latents, and how.
    void refined(const GenerateOptions& options, const GenerateOutput& output);
    /// The texts of picture `number` of `count`, from 0, of this prompt: for people, for programs that look
    /// for "parameters", and, as "reprise", what `recall` reads, with which it is drawn alone.
    ImageText of_picture(std::size_t number, std::size_t count, const std::string& prompt) const;
    /// The same of a video.
    ImageText of_video() const;
    /// For the JSON of a run.
    nlohmann::ordered_json settings() const;

  private:
    ImageText texts(const GenerateOptions& options, const std::string& prompt, std::size_t number) const;

    GenerateOptions options_;  ///< with what a run finds out: steps, size, mode
    LoadOptions load_;
    std::string model_, cache_, scheduler_;
    Json identity_, attached_;
    Json refiner_ = Json::object();  ///< its own of what both have
    void shows(const Image& picture);
};

/// What a file was made with, as its metadata say.
struct Recalled {
    std::string file;
    LoadOptions load;
    GenerateOptions call;
    GenerateOptions refiner;  ///< reuse and guidance_mode alone, where there was one
    std::string prompt;
    Json identity, attached = Json::object();

    /// Nothing where `file` is empty. Error (usage) that names the file where it has no metadata of ours, or
    /// broken ones.
    static Recalled from(const std::string& file);
    bool given() const { return !file.empty(); }
    /// What is reused: as it was, unless a flag says otherwise.
    CacheOptions cache(CacheOptions flags) const { return cache(std::move(flags), call); }
    /// The same of the refiner.
    CacheOptions refiner_cache(CacheOptions flags) const { return cache(std::move(flags), refiner); }
    /// Error (usage) where it was made with a file that is not given; a note where another is given than the
    /// one it was made with.
    void check(const Attachments& attachments, Terminal& terminal) const;
    /// A note where it was made by another model.
    void check(const Session& session, Terminal& terminal) const;

  private:
    CacheOptions cache(CacheOptions flags, const GenerateOptions& of) const;
};

void add_like_option(CLI::App& command, std::string& like);

}  // namespace reprise::app
