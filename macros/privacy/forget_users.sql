{% macro forget_users(user_ids, dry_run=false) %}
    {%- if not user_ids or user_ids is string or user_ids is mapping or user_ids is not sequence
        or user_ids | reject('string') | list or '' in user_ids | map('trim') -%}
        {{ exceptions.raise_compiler_error(
            "forget_users: user_ids must be a list of ids in quotes, such as "
            ~ "{user_ids: ['0a0a0a0a-0000-4000-8000-000000000000']}; nothing was deleted"
        ) }}
    {%- endif -%}
    {%- set ids = user_ids | map('trim') | map('lower') | unique | list -%}
    {%- set tables = personal_tables() -%}
    {%- set receipt = run_query(forget_script(ids, tables, dry_run)).rows[0].dict() -%}
    {%- set unknown = ids | length - receipt.users_found | int -%}
    {%- set hashes = receipt.user_hashes.split(' ') -%}
    {%- set lines = ["rows that would be deleted" if dry_run else "rows deleted"] -%}
    {%- for name, rows in fromjson(receipt.receipt).items() -%}
        {%- do lines.append("  " ~ "{:>9,}".format(rows) ~ "  " ~ name) -%}
    {%- else -%}
        {%- do lines.append("  none") -%}
    {%- endfor -%}
    {%- if unknown -%}
        {%- do lines.append("users in no table: " ~ unknown ~ ", forgotten before or of wrong ids") -%}
    {%- endif -%}
    {%- set kept = "that would be kept" if dry_run else "kept" -%}
    {%- do lines.append("hashes of the users, " ~ kept ~ " in " ~ source('randomuser', 'forgotten')) -%}
    {%- do lines.append("  " ~ hashes[:10] | join("\n  ")) -%}
    {%- do lines.append("  and " ~ (hashes | length - 10) ~ " more") if hashes[10:] -%}
    {%- do lines.append(
        "BigQuery can restore deleted rows until " ~ receipt.travels_until ~ " (time travel), its"
        ~ " support until " ~ receipt.restored_until ~ " (fail-safe)"
    ) -%}
    {%- do lines.append(
        "not deleted here: files in exports/ (run `python -m publish csv` again), datasets of other"
        ~ " targets, the ids in the log of this command and in BigQuery's job history"
    ) -%}
    {%- for table in tables.others -%}
        {%- do lines.append("not deleted here: " ~ table.name ~ ", which is not of this project") -%}
    {%- endfor -%}
    {{- print(lines | join('\n')) -}}
{% endmacro %}
