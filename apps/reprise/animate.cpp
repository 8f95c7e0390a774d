#include <fmt/format.h>

#include <algorithm>

#include "commands.h"
#include "media/video.h"
#include "metadata.h"
#include "outputs.h"
#include "pipelines/diffusion_pipeline.h"
#include "reprise/error.h"
#include "session.h"

namespace reprise::app {

namespace fs = std::filesystem;

namespace {

struct Options {
    ModelOptions model;
    AnimationOptions animation;
    SamplingOptions sampling;
    CacheOptions cache;
    OutputOptions output;
    std::string out = "reprise-{seed}.mp4", latents_in, latents_out, like;
};

/// Where frames go, by the name: one file, or numbered pictures.
class Target {
  public:
    /// Error (usage) for a name that says none of these, or a place that cannot be written.
    Target(const std::string& out, std::uint64_t seed) : seed_(seed) {
        path_ = picture_paths(out, 1, seed).front();
        const std::string extension = lower_extension(path_);
        is_folder_ = extension.empty();
        if (is_folder_) {
            if (!path_.has_filename()) path_ = path_.parent_path();
            pattern_ = (path_ / "frame-{n}.png").string();
            std::error_code ignored;
            check_writable(fs::is_directory(path_, ignored) ? path_ / "frame-1.png" : path_);
        } else if (extension == ".png") {
            pattern_ = out;
            check_writable(path_);
        } else if (extension == ".mp4" || extension == ".webp") {
            is_mp4_ = extension == ".mp4";
            if (is_mp4_) check_mp4(path_.string());
            check_writable(path_);
        } else {
            usage_error(
                "{}: videos are saved as .mp4 or .webp, as numbered .png, or in a folder of these, not as "
                "\"{}\"",
                path_.string(), extension);
        }
    }

    Target(const Target&) = delete;
    Target& operator=(const Target&) = delete;
    /// Leaves no empty folder of its own making behind.
    ~Target() {
        std::error_code ignored;
        if (made_folder_) fs::remove(path_, ignored);
    }

    void add_to(Outputs& files, const Video& video) {
        if (pattern_.empty()) {
            const auto bytes =
                is_mp4_ ? encode_mp4(video, path_.string()) : encode_animated_webp(video, path_.string());
            files.add(path_, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
            return;
        }
        if (is_folder_) {
            std::error_code error;
            made_folder_ = fs::create_directory(path_, error);
            if (error) usage_error("cannot make the folder {}: {}", path_.string(), error.message());
        }
        const auto paths = picture_paths(pattern_, video.frames.size(), seed_);
        for (std::size_t i = 0; i < paths.size(); ++i) files.add(paths[i], video.frames[i], video.text);
    }

  private:
    std::uint64_t seed_;
    fs::path path_;
    std::string pattern_;  ///< of pictures; empty for one file
    bool is_folder_ = false, made_folder_ = false, is_mp4_ = false;
};

void run(Context& context, const Options& o) {
    set_up(context, o.output);
    const MemoryWatch memory;
    const Recalled like = Recalled::from(o.like);
    GenerateOptions options = like.call;
    o.sampling.flags.apply_to(&options);
    Target target(o.out, options.seed);
    if (!o.latents_out.empty()) check_writable(o.latents_out);
    check_distinct({picture_paths(o.out, 1, options.seed).front(), o.latents_out});
    Attachments attachments = {{"image", o.animation.images.front()}};
    if (!o.latents_in.empty()) attachments["latents"] = o.latents_in;
    like.check(attachments, context.terminal);
    o.animation.apply_to(options);
    options.latents = read_latents(o.latents_in);

    ModelOptions model = o.model;
    model.base = like.load;
    Session session(context, model);
    like.check(session, context.terminal);
    auto& pipeline = session.pipe.implementation();
    if (pipeline.denoiser().model().traits().frames == 0)
        usage_error("{}: a {} draws from prompts; use reprise generate", o.model.model,
                    session.pipe.class_name());
    options = pipeline.with_defaults(options);
    pipeline.outlook(options);  // refuses what cannot be run, before anything is
    const CacheOptions cache = like.cache(o.cache);
    session.choose_reuse(context, cache, options);
    const GenerateOutput output = session.run(context, options);

    const Metadata metadata(session, model, cache, options, output, attachments);
    Outputs files;
    target.add_to(files, {output.images, options.video.fps, metadata.of_video()});
    if (!o.latents_out.empty()) files.add(o.latents_out, "latents", output.latents);
    files.commit();

    say_what_ran(context, output.report, session.load_seconds, "picture");
    if (!o.output.json) {
        print(lines(files.names()));
        return;
    }
    auto json = to_json(output.report, session.load_seconds, memory);
    json["settings"] = metadata.settings();
    json["files"] = files.names();
    print(json_text(json));
}

}  // namespace

void add_animate(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    auto* command = app.add_subcommand("animate", "Make a video from a picture");
    add_model_options(*command, options->model);
    add_animation_options(*command, options->animation, Picture::required);
    add_run_options(*command, options->sampling);
    add_cache_options(*command, options->cache);
    add_like_option(*command, options->like);
    command
        ->add_option(
            "--out", options->out,
            "Video, .mp4 or .webp; or .png, one picture a frame, or a folder for these; {seed} becomes "
            "the seed, {n} a frame's number")
        ->group("Output")
        ->type_name("FILE")
        ->capture_default_str();
    command
        ->add_option("--latents-in", options->latents_in,
                     "Noise in place of the seed's: safetensors with one tensor \"latents\" (1, frames, 4, "
                     "height/8, width/8)")
        ->group("Output")
        ->type_name("FILE");
    command->add_option("--latents-out", options->latents_out, "Writes the final latents, in the same form")
        ->group("Output")
        ->type_name("FILE");
    add_output_options(*command, options->output);
    command->footer(
        "\nExamples:\n"
        "  reprise animate --model svd-xt --image boat.jpg --out boat.mp4\n"
        "  reprise animate --model svd --image boat.jpg --fit crop --frames 14 --fps 10 --motion-bucket 60\n"
        "  reprise animate --model svd --image boat.jpg --width 512 --height 320 --out 'boat/{n}.png'");
    command->callback([options, &context] { run(context, *options); });
}

}  // namespace reprise::app
