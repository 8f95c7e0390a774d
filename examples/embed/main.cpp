// Draws a picture for each prompt on the command line, reusing blocks between steps:
//   embed MODEL_FOLDER PROMPT...
#include <reprise/reprise.h>

#include <iostream>
#include <span>
#include <string>

int main(int argc, char** argv) {
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    if (arguments.size() < 3) {
        std::cerr << "usage: embed MODEL_FOLDER PROMPT...\n";
        return 2;
    }
    try {
        auto pipe = reprise::Pipeline::from_pretrained(arguments[1]);
        reprise::cachify::prepare(pipe, 20);
        for (std::size_t i = 2; i < arguments.size(); ++i) {
            const auto out = pipe({.prompt = arguments[i], .num_inference_steps = 20, .seed = 42});
            const auto file = std::to_string(i - 1) + ".png";
            out.images[0].save(file);
            std::cout << file << ": " << out.report.summary << '\n';
        }
    } catch (const reprise::Error& error) {
        std::cerr << "embed: " << error.what() << '\n';
        return error.kind() == reprise::ErrorKind::usage ? 2 : 1;
    }
}
