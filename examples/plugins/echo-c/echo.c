/* A plugin without any SDK: the step's config arrives on stdin, its output is what is written to stdout. */
#include <stdio.h>

int main(void) {
    char buffer[4096];
    size_t got;
    while ((got = fread(buffer, 1, sizeof buffer, stdin)) > 0) {
        if (fwrite(buffer, 1, got, stdout) != got) {
            fprintf(stderr, "cannot write the output\n");
            return 1;
        }
    }
    return 0;
}
