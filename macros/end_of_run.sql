{% macro end_of_run(results) %}
    {#-
        Prints the failing rows of tests, which dbt only counts, and saves the results of a build:
        every other command, even `dbt show`, overwrites target/run_results.json. The results go
        where dbt stores the compiled SQL of hooks; `python -m publish` reads them there
        (publish/artifacts.py). A test opts in by the meta `show_failures: true`; its columns must
        be of the class public (CONTRIBUTING.md).
    -#}
    {%- if execute -%}
    {%- set saved = [] -%}
    {%- for result in results -%}
        {%- set node = result.node -%}
        {%- set rows = [] -%}
        {%- if result.status in ['warn', 'fail'] and node.config.meta.show_failures -%}
            {%- for row in run_query("select * from (" ~ node.compiled_code ~ "\n) limit 10").rows -%}
                {%- do rows.append(row.dict().items() | map('join', '=') | join(', ')) -%}
            {%- endfor -%}
            {%- if result.failures > rows | length -%}
                {%- do rows.append("... and " ~ (result.failures - rows | length) ~ " more") -%}
            {%- endif -%}
            {{- print(result.status ~ ": " ~ node.name ~ "\n  " ~ rows | join("\n  ")) -}}
        {%- endif -%}
        {%- do saved.append({
            'unique_id': node.unique_id,
            'status': result.status | string,
            'failures': result.failures,
            'execution_time': result.execution_time,
            'adapter_response': result.adapter_response,
            'relation_name': node.relation_name | default(none),
            'rows': rows,
        }) -%}
    {%- endfor -%}
    {%- if flags.WHICH == 'build' -%}
        {%- set now = modules.datetime.datetime.now(modules.pytz.utc).isoformat() -%}
        {%- set run = {'invocation_id': invocation_id, 'generated_at': now, 'results': saved} -%}
        {%- do write(tojson(run)) -%}
    {%- endif -%}
    {%- endif -%}
{% endmacro %}
