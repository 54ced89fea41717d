{% macro end_of_run(results) %}
    {#-
        Prints the rows that tests have found, which dbt counts alone, and writes down what became
        of a build. dbt's own target/run_results.json is written over by every other command, by
        `dbt show` too; this goes where dbt keeps what a hook ran, and `python -m publish` reads it
        there (publish/artifacts.py). A test says `show_failures: true` in its meta: what it finds
        must hold no password.
    -#}
    {%- if execute -%}
    {%- set kept = [] -%}
    {%- for result in results -%}
        {%- set node = result.node -%}
        {%- set found = [] -%}
        {%- if result.status in ['warn', 'fail'] and node.config.meta.show_failures -%}
            {%- for row in run_query("select * from (" ~ node.compiled_code ~ "\n) limit 10").rows -%}
                {%- set cells = [] -%}
                {%- for name, value in row.dict().items() -%}
                    {%- do cells.append(name ~ "=" ~ value) -%}
                {%- endfor -%}
                {%- do found.append(cells | join(", ")) -%}
            {%- endfor -%}
            {%- if result.failures > found | length -%}
                {%- do found.append("... and " ~ (result.failures - found | length) ~ " more") -%}
            {%- endif -%}
            {{- print(result.status ~ ": " ~ node.name ~ "\n  " ~ found | join("\n  ")) -}}
        {%- endif -%}
        {%- do kept.append({
            'unique_id': node.unique_id,
            'status': result.status | string,
            'failures': result.failures,
            'relation_name': node.relation_name | default(none),
            'rows': found,
        }) -%}
    {%- endfor -%}
    {%- if flags.WHICH == 'build' -%}
        {%- set now = modules.datetime.datetime.now(modules.pytz.utc).isoformat() -%}
        {%- do write(tojson({'generated_at': now, 'results': kept})) -%}
    {%- endif -%}
    {%- endif -%}
{% endmacro %}
