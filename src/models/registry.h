#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "files/json.h"
#include "models/denoiser.h"

namespace reprise::models {

enum class Role : std::uint8_t { denoiser, text_encoder, image_encoder, autoencoder, video_autoencoder };

/// A class that a component of a pipeline folder may have and Reprise can build.
struct ModelClass {
    std::string_view name;  ///< in diffusers or transformers, as model_index.json has it
    Role role = Role::denoiser;
    std::unique_ptr<Denoiser> (*make_denoiser)(const Config&) = nullptr;  ///< null for other roles
};

/// All of them: the list to add a model to.
std::span<const ModelClass> model_classes();

/// What diffusers calls a class today whose name old folders have; otherwise the name itself.
std::string_view current_class_name(std::string_view name);

/// Usage error naming the classes there are for the role when this one is not among them; `where` is the
/// file that asks for it.
const ModelClass& model_class(std::string_view name, Role role, std::string_view where);

/// The denoiser of a class, by its current or an old name, with its config.json.
std::unique_ptr<Denoiser> make_denoiser(std::string_view class_name, const Config& config);

}  // namespace reprise::models
