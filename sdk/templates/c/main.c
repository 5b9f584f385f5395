/* The step's config arrives on stdin, its output is what is written to stdout, stderr is its log. */
#include <stdio.h>

int main(void) {
    static char config[65536];
    size_t length = fread(config, 1, sizeof config, stdin);
    if (!feof(stdin)) {
        fprintf(stderr, "the config is larger than %zu bytes\n", sizeof config - 1);
        return 1;
    }
    fprintf(stderr, "the config has %zu bytes\n", length);
    printf("{\"config\":%.*s}", (int)length, config);
    return 0;
}
